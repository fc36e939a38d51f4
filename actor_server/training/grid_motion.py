"""GRID's clips as motion latents: mouth, lids and gaze of a real speaker, with speech and phones.

Shapes: F frames of a clip at 25 fps; four feature hops to a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from actor_server.codec.mesh.expression import EYES, GAZE_UNIT, LID_WIDEN, Eye
from actor_server.codec.mesh.latent import LID_RANGE
from actor_server.motion.phone_lips import SILENCE
from actor_server.motion.source import Floats
from actor_server.training.chunk_store import SplitName
from actor_server.training.grid_tracks import GridTracks, read_tracks
from actor_server.training.lip_models import Clip, read_clips
from proto.messages import Phone
from proto.time_law import FRAME_US

HELD_OUT_SHARE: Final = 0.13
JUDGE_SHARE: Final = 0.27
OPEN_PERCENTILE: Final = 75.0
"""Of a clip's lid openings: eyes open as at rest."""
CLOSED_RATIO: Final = 0.06
"""Lid opening over eye width of this tracker when the lids meet: its first percentile in GRID."""
BLINKING: Final = 0.3
"""Beyond this closure the tracker guesses where the iris is."""
GAZE_MEDIAN_FRAMES: Final = 3
"""The tracker's iris jitters half as much as this speaker's eyes move."""


@dataclass(frozen=True)
class GridClip:
    """Mouths (F, 16), lids (F, 2), gaze (F, 2) with the head level, `usable` and `sees` (F,) bool:
    where mouth and lids, and where gaze can be trusted; features (4 F, 80).
    """

    name: str
    mouths: Floats
    lids: Floats
    gaze: Floats
    usable: NDArray[np.bool_]
    sees: NDArray[np.bool_]
    features: Floats
    phones: tuple[Phone, ...] | None


def split_clips(names: Sequence[str], seed: int) -> dict[SplitName, tuple[str, ...]]:
    """60 % of the clips for training, 13 % held out, 27 % for the judge alone."""
    order = np.random.default_rng((seed, 27)).permutation(len(names))
    judge = round(JUDGE_SHARE * len(names))
    held_out = round(HELD_OUT_SHARE * len(names))
    shuffled = [names[place] for place in order]
    return {
        "judge": tuple(sorted(shuffled[:judge])),
        "held_out": tuple(sorted(shuffled[judge : judge + held_out])),
        "train": tuple(sorted(shuffled[judge + held_out :])),
    }


def read_grid_clips(folder: Path) -> list[GridClip]:
    """Every clip of the extracted corpus."""
    tracks = read_tracks(folder)
    clips = read_clips(folder, tracks)
    openings, gaze = _lid_openings(tracks), _iris_places(tracks)
    found = []
    for number, (name, clip) in enumerate(zip(tracks.clip_names, clips, strict=True)):
        frames = tracks.frames_of(number)
        if clip.usable.any():
            found.append(_grid_clip(name, clip, openings[frames], gaze[frames]))
    return found


def _grid_clip(name: str, clip: Clip, openings: Floats, irises: Floats) -> GridClip:
    usable = clip.usable
    closure = lid_closure(openings, float(np.percentile(openings[usable], OPEN_PERCENTILE)))
    sees = usable & (closure < BLINKING)
    centre = np.median(irises[sees if sees.any() else usable], axis=0)
    gaze = median_filter(irises - centre, size=(GAZE_MEDIAN_FRAMES, 1), mode="nearest")
    lids = np.repeat(closure[:, None], 2, axis=1)
    phones = None if clip.phones is None else without_gaps(clip.phones, len(usable) * FRAME_US)
    return GridClip(
        name, clip.mouths, lids, gaze.astype(np.float32), usable, sees, clip.features, phones
    )


def lid_closure(openings: Floats, open_ratio: float) -> Floats:
    """Closure (F,) as the decoder draws it, from lid openings over eye width."""
    reach = max(open_ratio - CLOSED_RATIO, 1e-3)
    closure = (open_ratio - openings) / reach
    closure = np.where(closure < 0, closure / LID_WIDEN, closure)
    bounded: Floats = np.clip(closure, *LID_RANGE).astype(np.float32)
    return bounded


def without_gaps(phones: tuple[Phone, ...], end_us: int) -> tuple[Phone, ...]:
    """The phones with silence named wherever there is none, as the voices do."""
    filled: list[Phone] = []
    at_us = 0
    for phone in phones:
        if phone.start_us > at_us:
            filled.append(Phone(symbol=SILENCE, start_us=at_us, end_us=phone.start_us))
        filled.append(phone)
        at_us = max(at_us, phone.end_us)
    if at_us < end_us:
        filled.append(Phone(symbol=SILENCE, start_us=at_us, end_us=end_us))
    return tuple(filled)


def _lid_openings(tracks: GridTracks) -> Floats:
    """(F,) of all clips: the mean of both eyes. The speaker's head is level and still."""
    both = [_lid_gaps(tracks.landmarks, eye) / _eye_widths(tracks.landmarks, eye) for eye in EYES]
    openings: Floats = np.mean(both, axis=0).astype(np.float32)
    return openings


def _iris_places(tracks: GridTracks) -> Floats:
    """(F, 2) of all clips in units of gaze, from the middle between the corners of the eyes."""
    places = []
    for eye in EYES:
        corners = (
            tracks.landmarks[:, eye.upper[0], :2] + tracks.landmarks[:, eye.upper[-1], :2]
        ) / 2
        shift = tracks.landmarks[:, eye.iris[0], :2] - corners
        places.append(shift / (GAZE_UNIT * _eye_widths(tracks.landmarks, eye)[:, None]))
    mean: Floats = np.mean(places, axis=0).astype(np.float32)
    return mean


def _lid_gaps(landmarks: Floats, eye: Eye) -> Floats:
    """(F,) see `lid_opening`."""
    gaps = landmarks[:, eye.lower[3:6]] - landmarks[:, eye.upper[3:6]]
    mean: Floats = np.linalg.norm(gaps, axis=2).mean(1)
    return mean


def _eye_widths(landmarks: Floats, eye: Eye) -> Floats:
    """(F,) pixels, at least one: invalid frames hold zeros."""
    across = landmarks[:, eye.upper[0], :2] - landmarks[:, eye.upper[-1], :2]
    widths: Floats = np.maximum(np.linalg.norm(across, axis=1), 1.0)
    return widths
