"""Pictures and sound of a stretch of a video, at 25 pictures a second whatever it was made with.

Times count from the video's first picture. F pictures, S samples.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from proto.time_law import FRAMES_PER_SECOND

Picture = NDArray[np.uint8]
Sound = NDArray[np.float32]

ROUNDING_S: Final = 0.005
"""Containers round times to milliseconds."""
LEAD_S: Final = 0.5
"""Sound is decoded from a little before, since a codec needs some to settle."""


class ClipUnusable(ValueError):
    """A clip that cannot be looked at or heard; the text is the reason why it is rejected."""


def pictures_of(video: Path, first: int, frames: int, every: int = 1) -> Iterator[Picture]:
    """RGB pictures (H, W, 3) first, first + every, ... of a stretch; each shown at its time.

    Raises ClipUnusable.
    """
    wanted = [place / FRAMES_PER_SECOND for place in range(first, first + frames, every)]
    found = 0
    for frame, begin_s, end_s in _frames_from(video, wanted[0]):
        while found < len(wanted) and wanted[found] + ROUNDING_S < end_s:
            if wanted[found] + ROUNDING_S < begin_s and found == 0:
                raise ClipUnusable(f"{video} has no picture at {wanted[0]:.2f} s")
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            found += 1
        if found == len(wanted):
            return
    raise ClipUnusable(f"{video} ends before {wanted[-1]:.2f} s")


def sound_of(video: Path, first: int, frames: int, rate_hz: int) -> Sound:
    """Mono (S,), -1..1, of the same stretch; silence where a track begins late or ends early.

    Raises ClipUnusable where there is none.
    """
    begin_s, seconds = first / FRAMES_PER_SECOND, frames / FRAMES_PER_SECOND
    sound = np.zeros(round(seconds * rate_hz), np.float32)
    with _opened(video) as container:
        if not container.streams.audio:
            raise ClipUnusable(f"{video} has no sound")
        stream = container.streams.audio[0]
        zero_s = _start_s(container.streams.video[0])
        _seek(container, stream, zero_s + begin_s - LEAD_S)
        to_mono = _Resampler(rate_hz)
        heard_s: float | None = None
        for frame in container.decode(stream):
            at_s = _time(frame.time, video) - zero_s
            if at_s > begin_s + seconds:
                break
            heard_s = at_s if heard_s is None else heard_s
            to_mono.hear(frame)
    if heard_s is None:
        raise ClipUnusable(f"{video} has no sound from {begin_s:.2f} s on")
    heard = to_mono.sound()
    late = round((heard_s - begin_s) * rate_hz)
    piece = heard[max(0, -late) :][: max(0, len(sound) - max(0, late))]
    sound[max(0, late) : max(0, late) + len(piece)] = piece
    return sound


def resampled(sound: Sound, from_hz: int, to_hz: int) -> Sound:
    """(S,) at another rate, as long."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound, np.float32)[None], "flt", "mono")
    frame.sample_rate = from_hz
    resampler = _Resampler(to_hz)
    resampler.hear(frame)
    length = round(len(sound) * to_hz / from_hz)
    found = resampler.sound()[:length]
    return np.pad(found, (0, length - len(found)))


class _Resampler:
    """Collects decoded sound as mono of one rate."""

    def __init__(self, rate_hz: int) -> None:
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        self._parts: list[NDArray[Any]] = []

    def hear(self, frame: av.AudioFrame) -> None:
        self._parts += [part.to_ndarray()[0] for part in self._resampler.resample(frame)]

    def sound(self) -> Sound:
        """All that was heard."""
        last = [part.to_ndarray()[0] for part in self._resampler.resample(None)]
        return np.concatenate([*self._parts, *last]).astype(np.float32)


def _frames_from(video: Path, first_s: float) -> Iterator[tuple[av.VideoFrame, float, float]]:
    """Decoded frames with the times from when and until when each is shown."""
    with _opened(video) as container:
        stream = container.streams.video[0]
        zero_s = _start_s(stream)
        _seek(container, stream, zero_s + first_s)
        length_s = float(1 / (stream.average_rate or FRAMES_PER_SECOND))
        shown: tuple[av.VideoFrame, float] | None = None
        for frame in container.decode(stream):
            at_s = _time(frame.time, video) - zero_s
            if shown is not None:
                yield *shown, at_s
            shown = frame, at_s
        if shown is not None:
            frame, at_s = shown
            yield frame, at_s, at_s + max(length_s, 1 / FRAMES_PER_SECOND) + ROUNDING_S


@contextmanager
def _opened(video: Path) -> Iterator[InputContainer]:
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise ClipUnusable(f"{video} holds no pictures")
            yield container
    except FFmpegError as error:
        raise ClipUnusable(f"{video} cannot be read ({error})") from error


def _start_s(stream: Any) -> float:
    return float((stream.start_time or 0) * stream.time_base)


def _seek(container: InputContainer, stream: Any, to_s: float) -> None:
    """Go to the last place before `to_s` from which decoding can begin."""
    container.seek(int(max(0.0, to_s) / stream.time_base), stream=stream)


def _time(time: float | None, video: Path) -> float:
    if time is None:
        raise ClipUnusable(f"{video} does not say when its frames are shown")
    return time
