"""The velocity loss of the motion latent: masked by trust, weighted by what a viewer looks at."""

from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import (
    BREATH,
    BROWS,
    FURROW,
    GAZE,
    LATENT_DIM,
    LIDS,
    LOG_SCALE,
    MOUTH,
    MOUTH_DIM,
    POSE,
    REST,
    TRANSLATION,
)
from actor_server.model.conditioner import Conditions
from actor_server.motion.conditioning import KINDS
from actor_server.training.forcing import Forced

GROUPS: Final[dict[str, tuple[slice, float]]] = {
    "mouth": (MOUTH, 3.0),
    "pose": (POSE, 8.0),
    "place": (slice(TRANSLATION.start, LOG_SCALE + 1), 4.0),
    "lids": (LIDS, 1.0),
    "gaze": (GAZE, 3.0),
    "brows": (slice(BROWS.start, FURROW + 1), 8.0),
    "rest": (slice(REST, REST + 1), 8.0),
    "breath": (slice(BREATH, BREATH + 1), 2.0),
}
"""Each group's numbers, and the weight of one of them, on average. Of what moves slowly the chunk
before tells nearly all; what is left to learn, a nod or a rest, is little, and has to count more
to be learned at all."""
STEADY: Final = (*range(POSE.start, LOG_SCALE + 1), *range(BROWS.start, BREATH + 1))
"""Numbers of what moves slowly: head, brows, rest, breath. Lids, gaze and lips may jump."""
LISTENING_WEIGHT: Final = 3.0
"""How much more steady numbers count while the caller talks: a small part of the data, which holds
all that is to be learned of listening."""
JOLT_WEIGHT: Final = 5.0
"""Weight of the second difference, from frame to frame, of an error in steady numbers, relative to
the error. A head that is a little elsewhere looks right, one that trembles does not, and the plain
error hardly tells them apart."""
WHITE_JOLT: Final = 6.0
"""Mean square of the second difference of white noise of variance 1."""
LIPS_FLOOR: Final = 0.15
"""Weight of a mouth coefficient that hardly moves the lips, relative to the one that opens them."""


@cache
def latent_weights() -> Tensor:
    """(D,) weight of each latent number, of mean 1; mouth coefficients by how far they move lips.

    The numbers are standardised, so without this the sixteenth coefficient, a hundredth of a
    pixel, would cost as much as the opening of the jaw.
    """
    weights = torch.zeros(LATENT_DIM)
    for place, weight in GROUPS.values():
        weights[place] = weight
    fields = mouth_basis().displacements[:, list(topology.LIPS)]
    reach = torch.from_numpy(np.sqrt((fields**2).sum((1, 2)))).float()
    weights[MOUTH] *= (
        MOUTH_DIM
        * (reach + LIPS_FLOOR * reach.max())
        / (reach.sum() + MOUTH_DIM * LIPS_FLOOR * reach.max())
    )
    return weights / weights.mean()


def chunk_weights(conditions: Conditions) -> Tensor:
    """(B, K, 1, D) `latent_weights` of each chunk: steady numbers count more while listening."""
    listening = conditions.kind == KINDS.index("listening")
    more = torch.ones(LATENT_DIM, device=listening.device)
    more[list(STEADY)] = LISTENING_WEIGHT
    weights = latent_weights().to(listening.device)
    return torch.where(listening[..., None, None], more, 1.0) * weights


def velocity_errors(predicted: Tensor, forced: Forced, trusted: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors (B, K, T, D) of the velocity and the mask (B, K, T, D) of those that count."""
    mask = trusted & forced.learned[..., None, None]
    return (predicted.float() - forced.velocity).square(), mask


class MotionObjective:
    """The Objective of motion latents: `velocity_loss`, in two parts."""

    def counted(self, trusted: Tensor, learned: Tensor, conditions: Conditions) -> Tensor:
        """Trusted numbers of noisy chunks, by `chunk_weights`."""
        return (trusted & learned[..., None, None]) * chunk_weights(conditions)

    def total(self, deviations: Tensor, counted: Tensor, learned: Tensor) -> Tensor:
        """`motion_total`."""
        return motion_total(deviations, counted, _after_clean(learned))


def velocity_loss(predicted: Tensor, forced: Forced, trusted: Tensor, weights: Tensor) -> Tensor:
    """`motion_loss` of the velocity over trusted numbers of noisy chunks; weights (B, K, 1, D)."""
    _, mask = velocity_errors(predicted, forced, trusted)
    deviations = predicted.float() - forced.velocity
    return motion_loss(deviations, mask * weights, _after_clean(forced.learned))


def motion_loss(deviations: Tensor, counted: Tensor, after_clean: Tensor) -> Tensor:
    """`motion_total` by what is counted; zero where nothing is."""
    return motion_total(deviations, counted, after_clean) / counted.sum().clamp(min=1.0)


def motion_total(deviations: Tensor, counted: Tensor, after_clean: Tensor) -> Tensor:
    """Sum of the squares of deviations (B, K, T, D), each counted (B, K, T, D) times.

    In steady numbers their second difference counts as well; in chunks whose predecessor is known,
    after_clean (B, K), also across the border: before it there is no error.
    """
    loss = (deviations.square() * counted).sum()
    steady = list(STEADY)
    jolts = _from_nothing(deviations[..., steady]).diff(n=2, dim=-2).square() / WHITE_JOLT
    there = counted[..., steady] * after_clean[..., None, None]
    inside = counted[..., steady].unfold(-2, 3, 1).amin(-1)
    weights = torch.cat([there[..., :2, :], inside], dim=-2)
    return loss + JOLT_WEIGHT * (jolts * weights).sum()


def _after_clean(learned: Tensor) -> Tensor:
    """(B, K) bool: chunks whose predecessor is not learned."""
    after_clean = ~learned.roll(1, dims=1)
    after_clean[:, 0] = False
    return after_clean


def _from_nothing(deviations: Tensor) -> Tensor:
    """(B, K, 2 + T, D): two frames without a deviation, then the chunk's."""
    return torch.cat([torch.zeros_like(deviations[..., :2, :]), deviations], dim=-2)


def group_errors(errors: Tensor, mask: Tensor) -> dict[str, tuple[float, float]]:
    """Sum and count of the squared errors of each group, for reports."""
    return {
        name: (float((errors * mask)[..., place].sum()), float(mask[..., place].sum()))
        for name, (place, _) in GROUPS.items()
    }
