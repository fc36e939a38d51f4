"""What one caller received during a call, put together from the page's record.

Every time is wall-clock seconds. Dimension letters: F frames, N samples.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.callbench.waveform import FLOAT, Waveform

CROP_PIXELS = 128
THUMB_PIXELS = 48
# The audio clock is read with about 10 ms of jitter; a larger step is a real gap in the sound.
CLOCK_JITTER_S = 0.03

BYTES = NDArray[np.uint8]


@dataclass(frozen=True)
class Mark:
    """Something that happened in the page."""

    name: str
    at_s: float
    detail: str = ""


@dataclass(frozen=True)
class Spoken:
    """A clip that the caller spoke; the bounds are those of the voice, not of the clip."""

    question_id: str
    voice_start_s: float
    voice_end_s: float


@dataclass(frozen=True)
class Frames:
    """The frames that were shown.

    Shapes: at_s, presented (F,); crops (F, 128, 128) grey, nose to chin; thumbs (F, 48, 48) grey,
    the whole picture. `presented` counts frames since the start, those that were missed included.
    """

    at_s: NDArray[np.float64]
    presented: NDArray[np.int64]
    width: int
    height: int
    crops: BYTES
    thumbs: BYTES


@dataclass(frozen=True)
class CallRecording:
    """Everything measured about one call."""

    sound: Waveform
    frames: Frames
    transport: tuple[Mapping[str, Any], ...]
    marks: tuple[Mark, ...]
    spoken: tuple[Spoken, ...]

    def mark(self, name: str) -> Mark | None:
        """Return the first mark of this name."""
        return next((mark for mark in self.marks if mark.name == name), None)


@dataclass
class Recorder:
    """Collects the parts that the page hands over from time to time."""

    spoken: list[Spoken] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    _transport: list[Mapping[str, Any]] = field(default_factory=list)
    _blocks: list[tuple[int, NDArray[np.int16]]] = field(default_factory=list)
    _frames: list[Mapping[str, Any]] = field(default_factory=list)
    _crops: list[BYTES] = field(default_factory=list)
    _thumbs: list[BYTES] = field(default_factory=list)
    _clock: list[tuple[float, float]] = field(default_factory=list)
    _sample_hz: int = 48_000

    def add(self, part: Mapping[str, Any]) -> None:
        """Take one part of the page's record."""
        pcm = np.frombuffer(base64.b64decode(part["pcm"]), np.int16)
        at = 0
        for first, length in part["audio"]:
            self._blocks.append((first, pcm[at : at + length]))
            at += length
        self._frames += part["frames"]
        self._crops.append(_pictures(part["crops"], CROP_PIXELS))
        self._thumbs.append(_pictures(part["thumbs"], THUMB_PIXELS))
        self._transport += part["stats"]
        self.marks += [Mark(m["name"], m["at"] / 1e3, m["detail"]) for m in part["marks"]]
        self._clock += [(c["audio"], c["offset"] / 1e3) for c in part["clock"]]
        self._sample_hz = part["sample_hz"]

    def recording(self) -> CallRecording:
        """Return what was received so far."""
        last = self._frames[-1] if self._frames else {"width": 0, "height": 0}
        frames = Frames(
            at_s=np.array([frame["at"] for frame in self._frames]) / 1e3,
            presented=np.array([frame["presented"] for frame in self._frames], np.int64),
            width=last["width"],
            height=last["height"],
            crops=np.concatenate(self._crops or [_pictures("", CROP_PIXELS)]),
            thumbs=np.concatenate(self._thumbs or [_pictures("", THUMB_PIXELS)]),
        )
        return CallRecording(
            sound=self._sound(),
            frames=frames,
            transport=tuple(self._transport),
            marks=tuple(sorted(self.marks, key=lambda mark: mark.at_s)),
            spoken=tuple(self.spoken),
        )

    def _sound(self) -> Waveform:
        """Lay the blocks on the wall clock; where none came there is silence."""
        if not self._blocks or not self._clock:
            return Waveform(np.zeros(0, np.float32), self._sample_hz)
        clock = np.array(self._clock)
        firsts = np.array([first for first, _ in self._blocks]) / self._sample_hz
        starts = firsts + np.interp(firsts, clock[:, 0], clock[:, 1])
        placed: list[tuple[int, FLOAT]] = []
        cursor = 0
        for start_s, (_, pcm) in zip(starts - starts[0], self._blocks, strict=True):
            target = round(float(start_s) * self._sample_hz)
            if target - cursor > CLOCK_JITTER_S * self._sample_hz:
                cursor = target
            placed.append((cursor, pcm.astype(np.float32) / np.float32(32767)))
            cursor += len(pcm)
        samples = np.zeros(cursor, np.float32)
        for first, block in placed:
            samples[first : first + len(block)] = block
        return Waveform(samples, self._sample_hz, float(starts[0]))


def _pictures(encoded: str, side: int) -> BYTES:
    return np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(-1, side, side)
