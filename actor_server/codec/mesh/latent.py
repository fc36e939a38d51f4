"""The motion latent: what the Actor generates and the mesh decoder draws, one row per frame.

Shapes: a frame is `(LATENT_DIM,)` float32, a clip `(F, LATENT_DIM)` at `FRAMES_PER_SECOND`.

Directions are those of the picture, as the viewer sees it: x grows to the right, y grows downwards,
and "right" eye or brow is the subject's own right, which lies on the left of the picture.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Latent = NDArray[np.float32]

FRAMES_PER_SECOND: Final = 25
MOUTH_DIM: Final = 16
LATENT_DIM: Final = 31

# Head rotation relative to the portrait, radians: R(t) R(portrait)^T. Positive yaw turns the nose
# to the viewer's left, positive pitch nods down, positive roll tilts clockwise on the screen.
YAW: Final = 0
PITCH: Final = 1
ROLL: Final = 2
POSE: Final = slice(0, 3)
# Translation of the head's pivot (base of the skull) in face heights, and log scale about it.
TRANSLATION: Final = slice(3, 5)
LOG_SCALE: Final = 5
# Sixteen coefficients of the mouth basis, in standard deviations seen in speech; zero is the closed
# articulation neutral (or the portrait's own mouth, see REST).
MOUTH: Final = slice(6, 6 + MOUTH_DIM)
# Lid closure: 1 closed, 0 as in the portrait, -0.4 wide open. Never smooth these in time.
LID_RIGHT: Final = 22
LID_LEFT: Final = 23
LIDS: Final = slice(22, 24)
# Gaze offset from the portrait's own gaze, 0.42 eye widths per unit; positive x looks to the
# viewer's right, positive y down.
GAZE: Final = slice(24, 26)
# Brow raise, 0.1 inter-iris distances per unit; positive is up.
BROW_RIGHT: Final = 26
BROW_LEFT: Final = 27
BROWS: Final = slice(26, 28)
# Furrow: brows drawn together, 0.09 inter-iris distances per unit.
FURROW: Final = 28
# 1 keeps the portrait's own mouth when the coefficients are zero; 0 closes it first, so that a
# smiling portrait can close its lips. Listening is 1, speech is 0, with a short ramp between.
REST: Final = 29
# Chest movement, -1 (breathed out) .. 1 (breathed in).
BREATH: Final = 30

# Beyond these angles the mesh shows its limits; the decoder clamps to them.
POSE_LIMIT_RAD: Final[tuple[float, float, float]] = (0.30, 0.20, 0.25)
LID_RANGE: Final[tuple[float, float]] = (-0.4, 1.0)

# Standard deviation of each number in ordinary talk: what a generator divides by.
LATENT_STD: Final[Latent] = np.array(
    [0.08, 0.06, 0.06, 0.03, 0.02, 0.01]
    + [1.0] * MOUTH_DIM
    + [0.3, 0.3, 0.2, 0.15, 0.3, 0.3, 0.3, 0.5, 0.7],
    dtype=np.float32,
)
LATENT_STD.setflags(write=False)


def portrait_latent() -> Latent:
    """Return the latent that reproduces the portrait itself: no motion, own mouth at rest."""
    latent = np.zeros(LATENT_DIM, np.float32)
    latent[REST] = 1.0
    return latent


def speech_neutral_latent() -> Latent:
    """Return the latent of a still face with closed lips, from which articulation departs."""
    return np.zeros(LATENT_DIM, np.float32)
