"""Chunk-wise diffusion forcing: what noise each chunk of a training sequence gets (paper 3.3).

Dimension letters: B sequences, K chunks, T tokens of a chunk, D latent numbers.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from actor_server.schedule import add_noise, velocity_target
from actor_server.training.config import Ablation, Stage

HISTORY_LEVEL: Final = 0.0125
"""Trace of noise on history that passes for clean, sigma .02. The sampler's own history is never
quite right; a model that has seen only exact ones takes up every tremble and goes on with it."""


@dataclass(frozen=True)
class Forced:
    """Noised latents (B, K, T, D), their levels (B, K), and the velocity to learn (B, K, T, D)."""

    noised: Tensor
    levels: Tensor
    velocity: Tensor

    @property
    def learned(self) -> Tensor:
        """(B, K) bool: clean chunks are context only; their velocity is the noise they lack."""
        return self.levels > 0


def draw_levels(
    rng: np.random.Generator, shape: tuple[int, int], stage: Stage, ablation: Ablation
) -> NDArray[np.float32]:
    """Levels t (B, K) in [0, 1]: 0 for clean history, else as the stage says, or in 1/N to N/N.

    Each sequence draws its own share of clean chunks: the sampler's context is all clean, and a
    fixed share would make long clean histories too rare to learn from.
    """
    if ablation.teacher_forcing:
        return _last_chunk_levels(rng, shape)
    share = rng.uniform(*stage.clean_share, size=(shape[0], 1))
    noisy = 1.0 - rng.random(shape)
    if stage.levels == "logit-normal":
        noisy = expit(rng.standard_normal(shape))
    if stage.noise_steps:
        noisy = np.ceil(noisy * stage.noise_steps) / stage.noise_steps
    levels = np.where(rng.random(shape) < share, 0.0, noisy)
    return levels.astype(np.float32)


def _last_chunk_levels(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Teacher forcing: one chunk is noisy; what follows it is unseen by it and not learned."""
    levels = np.zeros(shape, np.float32)
    current = rng.integers(shape[1], size=shape[0])
    levels[np.arange(shape[0]), current] = 1.0 - rng.random(shape[0])
    return levels


def force(clean: Tensor, noise: Tensor, levels: Tensor) -> Forced:
    """Noise each chunk to its level and say what velocity takes it there (paper eq. 3).

    No chunk has less noise than `HISTORY_LEVEL`, whatever its level says.
    """
    level = levels[..., None, None].clamp(min=HISTORY_LEVEL)
    return Forced(add_noise(clean, noise, level), levels, velocity_target(clean, noise, level))


def draw_noise(rng: np.random.Generator, like: Tensor) -> Tensor:
    """Standard normal noise of the shape and device of `like`, named by the state of `rng`."""
    generator = torch.Generator(like.device).manual_seed(int(rng.integers(2**62)))
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
