"""Does the head's motion come again within a minute? A loop is seen at once.

Shapes: F frames, W windows.
"""

from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import POSE
from actor_server.motion.source import Floats
from proto.time_law import FRAMES_PER_SECOND

WINDOW_FRAMES: Final = 4 * FRAMES_PER_SECOND
"""What comes again for four seconds is noticed."""
STEP_FRAMES: Final = 2
LEAST_MOTION: Final = 1e-5
"""Radians a frame: a head that stands still repeats nothing."""


def repetition(latents: Floats) -> float | None:
    """Highest correlation of two stretches of 4 s of the head's velocity in latents (F, 31).

    1: a stretch came again exactly. Stretches do not overlap. None where two do not fit, or nothing
    moves.
    """
    velocity = np.diff(latents[:, POSE].astype(np.float64), axis=0)
    if len(velocity) < 2 * WINDOW_FRAMES:
        return None
    starts = np.arange(0, len(velocity) - WINDOW_FRAMES + 1, STEP_FRAMES)
    windows = np.stack([velocity[at : at + WINDOW_FRAMES].ravel() for at in starts])
    windows -= windows.mean(1, keepdims=True)
    moves = windows.std(1) > LEAST_MOTION
    windows, starts = windows[moves], starts[moves]
    apart = np.abs(starts[:, None] - starts[None]) >= WINDOW_FRAMES
    if not apart.any():
        return None
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    return float((windows @ windows.T)[apart].max())
