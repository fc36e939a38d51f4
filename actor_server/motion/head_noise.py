"""The noise that mesh latents begin as: named noise, in which the head does not tremble.

Behind a few steps some of what changes fast in the noise is left in the head's motion, and what
changes slowly ends too small. So of the head's noise only the three slowest cosines of a chunk are
kept, its mean, its slope and its bend, and the slope is larger (measured: decision 15).
"""

import math
from typing import Final

import torch
from torch import Tensor

from actor_server.codec.mesh.latent import LOG_SCALE, POSE
from actor_server.sampler import named_noise

HEAD: Final = slice(POSE.start, LOG_SCALE + 1)
"""Rotation, translation and scale."""
GAINS: Final = (1.0, 1.2, 1.0)
"""Of the cosines, slowest first; what is faster is left out."""


def steady_noise(seed: int, chunk: int, shape: tuple[int, ...]) -> Tensor:
    """Noise (T, D) of this name, normal; D are the numbers of a mesh latent, T frames of a chunk.

    Of unit variance but for `HEAD`.
    """
    noise = named_noise(seed, chunk, shape)
    kept = _cosines(shape[0])[: len(GAINS)]
    gains = torch.tensor(GAINS[: len(kept)], dtype=kept.dtype)
    noise[:, HEAD] = kept.T @ (gains[:, None] * (kept @ noise[:, HEAD]))
    return noise


def _cosines(frames: int) -> Tensor:
    """The orthonormal DCT of so many frames, (frames, frames), slowest first."""
    order = torch.arange(frames, dtype=torch.float64)
    table = torch.cos(math.pi / frames * torch.outer(order, order + 0.5)) * math.sqrt(2 / frames)
    table[0] /= math.sqrt(2)
    return table
