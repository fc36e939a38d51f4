"""How noisy a chunk is at which step, and one step towards clean.

A level t in [0, 1] is k / N for k of N steps left. At t = 1 nothing is left of the signal (zero
terminal SNR), so that sampling begins exactly where training ended (arXiv 2305.08891).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def alpha(level: Tensor) -> Tensor:
    """How much signal is left: cos(pi t / 2)."""
    return torch.cos(level * (math.pi / 2))


def sigma(level: Tensor) -> Tensor:
    """How much noise there is: sin(pi t / 2), so that the variance stays 1."""
    return torch.sin(level * (math.pi / 2))


def add_noise(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """x_t; `level` broadcasts against the latents."""
    return alpha(level) * clean + sigma(level) * noise


def velocity_target(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """v = alpha eps - sigma x0, what the model predicts. Source: arXiv 2202.00512."""
    return alpha(level) * noise - sigma(level) * clean


def clean_from_velocity(noisy: Tensor, velocity: Tensor, level: Tensor) -> Tensor:
    """x0 = alpha x - sigma v."""
    return alpha(level) * noisy - sigma(level) * velocity


def noise_from_velocity(noisy: Tensor, velocity: Tensor, level: Tensor) -> Tensor:
    """eps = sigma x + alpha v."""
    return sigma(level) * noisy + alpha(level) * velocity


def ddim_step(noisy: Tensor, velocity: Tensor, level: Tensor, next_level: Tensor) -> Tensor:
    """The deterministic step from `level` to `next_level`. Source: arXiv 2010.02502, eq. 12."""
    clean = clean_from_velocity(noisy, velocity, level)
    return add_noise(clean, noise_from_velocity(noisy, velocity, level), next_level)


def midpoint_step(
    noisy: Tensor,
    velocity: Callable[[Tensor, Tensor], Tensor],
    level: Tensor,
    next_level: Tensor,
    first: Tensor | None = None,
) -> Tensor:
    """A step of second order, for two evaluations of `velocity(noisy, level)`.

    `first`: the first of them, where it is known.

    v is dx by d(pi t / 2), so the middle's velocity leads along an arc. A few DDIM steps shrink
    what varies: where data and noise are spread alike v is 0, but each step multiplies by the
    cosine of its angle. This one is exact there and where the data is one point.
    """
    middle = (level + next_level) / 2
    if first is None:
        first = velocity(noisy, level)
    halfway = ddim_step(noisy, first, level, middle)
    return noisy - 2 * torch.sin((level - next_level) * (math.pi / 4)) * velocity(halfway, middle)
