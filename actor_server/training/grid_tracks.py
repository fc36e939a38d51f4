"""Landmark tracks and phone times of the GRID corpus, as `grid_corpus` stores them.

Shapes: `F` frames of all clips one after another at 25 fps.

Source: Cooke, Barker, Cunningham, Shao, "An audio-visual corpus for speech perception and automatic
speech recognition", JASA 120(5), 2006; DOI 10.5281/zenodo.3625687; CC BY 4.0.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Landmarks are stored as deltas of fixed-point pixels of the 360x288 video: steps per pixel.
STEPS_PER_PIXEL: Final = (32, 32, 16)
FRAMES_PER_SECOND: Final = 25
TRACKS_NAME: Final = "tracks.npz"
PHONES_NAME: Final = "phones.json"


@dataclass(frozen=True)
class Phone:
    """One ARPAbet phone of a clip, in seconds from the clip's start."""

    symbol: str
    start_s: float
    duration_s: float

    @property
    def middle_frame(self) -> int:
        return round(FRAMES_PER_SECOND * (self.start_s + self.duration_s / 2))


@dataclass(frozen=True)
class GridTracks:
    """All clips of one speaker."""

    landmarks: NDArray[np.float32]  # (F, 478, 3) pixels
    valid: NDArray[np.bool_]  # (F,)
    clip_names: tuple[str, ...]
    clip_bounds: NDArray[np.int64]  # (clips + 1,) first frame of each clip

    def frames_of(self, clip: int) -> slice:
        return slice(int(self.clip_bounds[clip]), int(self.clip_bounds[clip + 1]))

    def clip_of_frame(self) -> NDArray[np.int64]:
        """Return (F,) clip numbers."""
        return np.repeat(np.arange(len(self.clip_names)), np.diff(self.clip_bounds))


def read_tracks(folder: Path) -> GridTracks:
    """Read `tracks.npz`. Frames that are not valid hold zeros: mask them."""
    with np.load(folder / TRACKS_NAME) as archive:
        high, low = archive["delta_hi"], archive["delta_lo"]
        bounds = archive["clip_start"]
        valid = archive["valid"]
        names = tuple(str(name) for name in archive["clip"])
    deltas = ((high.astype(np.uint16) << 8) | low).view(np.int16).transpose(2, 0, 1)  # (F, 478, 3)
    landmarks = np.empty(deltas.shape, np.float32)
    for start, end in pairwise(bounds):
        landmarks[start:end] = np.cumsum(deltas[start:end], axis=0, dtype=np.int32)
    landmarks /= np.array(STEPS_PER_PIXEL, np.float32)
    return GridTracks(landmarks, valid, names, bounds)


def write_tracks(folder: Path, tracks: GridTracks) -> None:
    """Write `tracks.npz`. Raises ValueError for pictures too large for its fixed-point pixels."""
    steps = np.rint(tracks.landmarks * np.array(STEPS_PER_PIXEL, np.float32))
    if np.abs(steps).max() > np.iinfo(np.int16).max:
        raise ValueError("landmarks beyond 1,023 pixels: scale the videos down to 360x288")
    deltas = np.diff(steps.astype(np.int32), axis=0, prepend=0)
    firsts = tracks.clip_bounds[:-1]
    deltas[firsts] = steps[firsts]
    stored = deltas.astype(np.int16).view(np.uint16).transpose(1, 2, 0)
    np.savez_compressed(
        folder / TRACKS_NAME,
        delta_hi=(stored >> 8).astype(np.uint8),
        delta_lo=(stored & 0xFF).astype(np.uint8),
        clip_start=tracks.clip_bounds,
        clip=np.array(tracks.clip_names),
        valid=tracks.valid,
    )


def audio_path(folder: Path, clip: str) -> Path:
    """Where a clip's sound lies: 16 kHz mono."""
    return folder / "audio" / f"{clip}.flac"


def read_aligned_phones(folder: Path) -> dict[str, list[Phone]]:
    """Return the phones of every clip whose times come from forced alignment."""
    clips = json.loads((folder / PHONES_NAME).read_text())
    return {
        name: [Phone(symbol, start, duration) for symbol, start, duration in clip["phones"]]
        for name, clip in clips.items()
        if clip["aligned"]
    }
