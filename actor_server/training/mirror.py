"""Left and right exchanged: twice as many head movements, glances and raised brows to learn from.

The mouth needs no change: its sideways coefficients are zero in everything that is trained on.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from actor_server.codec.mesh.latent import (
    BROW_LEFT,
    BROW_RIGHT,
    GAZE,
    LATENT_DIM,
    LID_LEFT,
    LID_RIGHT,
    ROLL,
    TRANSLATION,
    YAW,
)

SIDEWAYS: Final = (YAW, ROLL, TRANSLATION.start, GAZE.start)
PAIRS: Final = ((LID_RIGHT, LID_LEFT), (BROW_RIGHT, BROW_LEFT))


def mirrored(latents: Tensor) -> Tensor:
    """Latents (..., D), not normalised, as a mirror shows them."""
    order = np.arange(LATENT_DIM)
    for right, left in PAIRS:
        order[[right, left]] = order[[left, right]]
    signs = torch.ones(LATENT_DIM)
    signs[list(SIDEWAYS)] = -1.0
    return latents[..., torch.from_numpy(order)] * signs


def mirror_some(latents: Tensor, rng: np.random.Generator) -> Tensor:
    """Latents (B, K, T, D) with half of the rows mirrored by chance."""
    chosen = torch.from_numpy(rng.random(len(latents)) < 0.5)
    return torch.where(chosen[:, None, None, None], mirrored(latents), latents)
