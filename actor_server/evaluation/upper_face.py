"""Eyes and brows, as latents tell: does the face look at the caller, does it raise its brows?

Shapes: F frames. Units: those of the latent (a gaze of 1: 0.42 eye widths; a brow of 1: 0.1
inter-iris distances).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.latent import BROWS, FURROW, GAZE, PITCH, YAW
from actor_server.evaluation.liveliness import Clip
from actor_server.motion.eyes import CONTACT_PITCH, CONTACT_YAW
from actor_server.motion.source import Floats
from proto.time_law import FRAMES_PER_SECOND

Flags = NDArray[np.bool_]

AWAY: Final = 0.1
"""Eyes that are turned so far from the caller look elsewhere."""
SACCADE: Final = 0.06
"""A saccade moves the eyes at least so far in one frame."""
RAISED: Final = 0.35
"""Brows from here on are raised."""
_BROWS: Final = [*range(BROWS.start, BROWS.stop), FURROW]


@dataclass(frozen=True)
class UpperFace:
    """Of all trusted frames together; None where none is. GRID's brows are not, for between its
    clips they are a teacher's.

    Gaze is what is left of it after the part that holds the caller's eyes while the head turns.
    `gaze_sd`: root mean square of both axes' standard deviations; `away`: share of frames;
    `brow_sd`: of the mean of both brows; `brow_raises`: how often that passes RAISED, a minute.
    """

    gaze_sd: float | None
    away: float | None
    saccades_per_minute: float | None
    brow_sd: float | None
    brow_raises_per_minute: float | None
    furrow_sd: float | None


def upper_face(clips: Sequence[Clip]) -> UpperFace:
    """Measure gaze in the frames in which it is trusted, brows in the clips in which they are."""
    gazes = [off_caller(clip.latents) for clip in clips]
    sees = [_all(clip.trusted[:, GAZE]) for clip in clips]
    gaze = np.concatenate([row[known] for row, known in zip(gazes, sees, strict=True)])
    frowning = [clip.latents[:, _BROWS] for clip in clips if clip.trusted[:, _BROWS].all()]
    brows = [row[:, :2].mean(1) for row in frowning]
    return UpperFace(
        gaze_sd=float(np.sqrt(gaze.var(0).mean())) if len(gaze) else None,
        away=float((np.linalg.norm(gaze, axis=1) > AWAY).mean()) if len(gaze) else None,
        saccades_per_minute=onset_rate(
            [_jumps(one) for one in gazes], [_pairs(one) for one in sees]
        ),
        brow_sd=float(np.concatenate(brows).std()) if brows else None,
        brow_raises_per_minute=onset_rate(
            [one > RAISED for one in brows], [np.ones(len(one), np.bool_) for one in brows]
        ),
        furrow_sd=float(np.concatenate(frowning)[:, 2].std()) if frowning else None,
    )


def off_caller(latents: Floats) -> Floats:
    """How far (F, 2) the eyes of latents (F, 31) look past the caller, whatever the head does."""
    held = np.stack([CONTACT_YAW * latents[:, YAW], -CONTACT_PITCH * latents[:, PITCH]], axis=1)
    rest: Floats = latents[:, GAZE] - held
    return rest


def onset_rate(flags: Sequence[Flags], trusted: Sequence[Flags]) -> float | None:
    """How often a minute flags (F,) go up, both frames being trusted; None without such frames."""
    pairs = onsets = 0
    for up, known in zip(flags, trusted, strict=True):
        both = _pairs(known)
        pairs += int(both.sum())
        onsets += int((up[1:] & ~up[:-1] & both).sum())
    return onsets * 60 * FRAMES_PER_SECOND / pairs if pairs else None


def _all(known: Flags) -> Flags:
    return np.asarray(known.all(1), np.bool_)


def _jumps(gaze: Floats) -> Flags:
    found: Flags = np.linalg.norm(np.diff(gaze, axis=0), axis=1) > SACCADE
    return found


def _pairs(known: Flags) -> Flags:
    """Which frames follow a known one and are known."""
    both: Flags = known[1:] & known[:-1]
    return both
