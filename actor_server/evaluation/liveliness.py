"""How the rest of the face moves: head, lids, brows, smoothness, seams between chunks.

Shapes: F frames. Every figure is None where none of the numbers it needs is trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from actor_server.codec.mesh.latent import BROWS, FURROW, LIDS, MOUTH, POSE
from actor_server.evaluation.lip_track import LipTrack
from actor_server.motion.source import Floats
from proto.time_law import CHUNK_FRAMES, FRAMES_PER_SECOND

SHUT: Final = 0.5
"""Lid closure from which an eye counts as shut."""
_UPPER_FACE: Final = [*range(BROWS.start, BROWS.stop), FURROW]


@dataclass(frozen=True)
class Liveliness:
    """Of all clips together; deg, deg/s, deg/s^3, eye distances/s^3, latent units.

    `*_seam`: root mean square change across chunk borders over that inside chunks; 1: no seams.
    `upper_face_sd`: mean over both brows and furrow.
    """

    minutes: float
    yaw_sd: float | None
    pitch_sd: float | None
    roll_sd: float | None
    head_speed: float | None
    head_jerk: float | None
    head_seam: float | None
    blinks_per_minute: float | None
    upper_face_sd: float | None
    lip_jerk: float | None
    lip_seam: float | None


@dataclass(frozen=True)
class Clip:
    """Motion (F, 31) and which of its numbers count (F, 31)."""

    latents: Floats
    trusted: NDArray[np.bool_]


def liveliness(clips: Sequence[Clip]) -> Liveliness:
    """Measure clips; a number that is not trusted in every frame of a clip is not used there."""
    posed = [clip.latents[:, POSE] for clip in clips if clip.trusted[:, POSE].all()]
    lidded = [clip.latents[:, LIDS].mean(1) for clip in clips if clip.trusted[:, LIDS].all()]
    upper = [clip.latents[:, _UPPER_FACE] for clip in clips if clip.trusted[:, _UPPER_FACE].all()]
    mouths = [
        LipTrack.of_latents(clip.latents).gap[:, None]
        for clip in clips
        if clip.trusted[:, MOUTH].all()
    ]
    angles = np.degrees(np.concatenate(posed)).std(0) if posed else [None] * 3
    return Liveliness(
        minutes=sum(len(clip.latents) for clip in clips) / FRAMES_PER_SECOND / 60,
        yaw_sd=_number(angles[0]),
        pitch_sd=_number(angles[1]),
        roll_sd=_number(angles[2]),
        head_speed=_number(
            np.concatenate([head_speed(p) for p in posed]).mean() if posed else None
        ),
        head_jerk=jerk([np.degrees(pose) for pose in posed]),
        head_seam=seam_ratio(posed),
        blinks_per_minute=blink_rate(lidded),
        upper_face_sd=_number(np.concatenate(upper).std(0).mean() if upper else None),
        lip_jerk=jerk(mouths),
        lip_seam=seam_ratio(mouths),
    )


def head_speed(pose: Floats) -> NDArray[np.float64]:
    """Angle between neighbouring frames of pose (F, 3), deg/s, (F - 1,)."""
    # the decoder turns by Rz(roll) Rx(pitch) Ry(yaw)
    turns = Rotation.from_euler("ZXY", pose[:, ::-1].astype(np.float64))
    angles: NDArray[np.float64] = (turns[:-1].inv() * turns[1:]).magnitude()
    return np.degrees(angles) * FRAMES_PER_SECOND


def blink_rate(lids: Sequence[Floats]) -> float | None:
    """Closings a minute of lid closures (F,); None without frames."""
    frames = sum(len(closure) for closure in lids)
    if not frames:
        return None
    blinks = sum(int((np.diff((closure > SHUT).astype(np.int8)) > 0).sum()) for closure in lids)
    return blinks * 60 * FRAMES_PER_SECOND / frames


def jerk(tracks: Sequence[Floats]) -> float | None:
    """Root mean square third derivative of tracks (F, D), per s^3."""
    thirds = [np.diff(track.astype(np.float64), 3, axis=0) for track in tracks if len(track) > 3]
    if not thirds:
        return None
    size = np.sqrt((np.concatenate(thirds) ** 2).sum(1).mean())
    return float(size * FRAMES_PER_SECOND**3)


def seam_ratio(tracks: Sequence[Floats]) -> float | None:
    """Change across chunk borders over change inside chunks, root mean squares of tracks (F, D)."""
    inside, across = [], []
    for track in tracks:
        steps = (np.diff(track.astype(np.float64), axis=0) ** 2).sum(1)
        border = np.arange(1, len(track)) % CHUNK_FRAMES == 0
        inside.append(steps[~border])
        across.append(steps[border])
    if not tracks or np.concatenate(inside).mean() == 0 or not len(np.concatenate(across)):
        return None
    return float(np.sqrt(np.concatenate(across).mean() / np.concatenate(inside).mean()))


def _number(value: float | np.floating | None) -> float | None:
    return None if value is None else float(value)
