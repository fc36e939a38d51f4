"""What no face can do, whoever moves it: bounds of a motion latent that the decoder relies on."""

from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import (
    BREATH,
    FURROW,
    LATENT_DIM,
    LID_RANGE,
    LIDS,
    POSE,
    POSE_LIMIT_RAD,
    REST,
)
from actor_server.motion.source import Floats


def _bounds() -> tuple[Floats, Floats]:
    low = np.full(LATENT_DIM, -np.inf, np.float32)
    high = np.full(LATENT_DIM, np.inf, np.float32)
    high[POSE] = POSE_LIMIT_RAD
    low[POSE] = -high[POSE]
    low[LIDS], high[LIDS] = LID_RANGE
    low[FURROW] = 0.0  # brows cannot be drawn apart
    low[REST], high[REST] = 0.0, 1.0
    low[BREATH], high[BREATH] = -1.0, 1.0
    return low, high


LIMITS: Final = _bounds()
"""Least and greatest value of each number, (LATENT_DIM,) each."""


def within_limits(latents: Floats) -> Floats:
    """Latents (F, LATENT_DIM), each number moved to the nearest that a face can do."""
    bounded: Floats = np.clip(latents, *LIMITS)
    return bounded
