"""How far few sampling steps lead from where the curve ends, from the same noise and history."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import LATENT_DIM, MOUTH
from actor_server.model.conditioner import Conditions
from actor_server.model.video_transformer import VideoTransformer
from actor_server.sampler import PyramidSampler
from actor_server.schedule import ddim_step, midpoint_step
from actor_server.training.batches import Batch
from actor_server.training.clear_history import ClearHistory
from actor_server.training.forcing import draw_noise
from actor_server.training.sequences import Crops
from actor_server.training.trainer import Compute, normalised

EXACT_STEPS: Final = 24
CROP_CHUNKS: Final = 16
CROPS: Final = 8
SEED: Final = 30_000
WITHOUT_MOUTH: Final = np.delete(np.arange(LATENT_DIM), MOUTH)


class Contender(NamedTuple):
    """A model and the steps it is given."""

    name: str
    model: VideoTransformer
    steps: int


class FewStepFigures(NamedTuple):
    """Against the end of the teacher's own curve: squared error of the standardised latent without
    the mouth, which a student learns to shrink; mean error of the lips' opening in inter-iris
    distances, and the opening's spread relative to the teacher's.
    """

    error_without_mouth: float
    gap_error: float
    gap_spread: float


def sample(history: ClearHistory, noise: Tensor, steps: int) -> Tensor:
    """Clean latents (B, K, T, D), normalised, by `steps` of DDIM from pure noise."""
    latents = noise
    for left in range(steps, 0, -1):
        now, after = (torch.full((1, 1, 1, 1), k / steps).to(noise) for k in (left, left - 1))
        latents = ddim_step(latents, history.velocity_at(latents, now), now, after)
    return latents


def sample_exactly(history: ClearHistory, noise: Tensor) -> Tensor:
    """Where the curve from `noise` ends, (B, K, T, D), by many steps of second order."""
    latents = noise
    for left in range(EXACT_STEPS, 0, -1):
        now, after = (torch.full((1, 1, 1, 1), k / EXACT_STEPS).to(noise) for k in (left, left - 1))
        latents = midpoint_step(latents, history.velocity_at, now, after)
    return latents


def perform(
    model: VideoTransformer, reference: Tensor, conditions: Conditions, steps: int, seed: int
) -> Tensor:
    """What a model makes of conditions (B, K), by `steps` and behind nothing but its own chunks.

    Clean latents (B, K, T, D), normalised as the reference (B, R, D) is.
    """
    rows = range(len(reference))
    sampler = PyramidSampler(model, steps, window=1, rows=len(reference))
    streams = [sampler.open(reference[row], seed + row) for row in rows]
    chunks = []
    for chunk in range(conditions.chunks):
        for stream in streams:
            stream.offer(conditions.of_row(stream.row)[chunk])
        passes = [sampler.run_pass(streams) for _ in range(steps)]
        chunks.append(torch.stack([clean for clean in passes[-1] if clean is not None]))
    return torch.stack(chunks, dim=1).clone()


@torch.no_grad()
def few_step_figures(
    teacher: VideoTransformer, contenders: Sequence[Contender], folder: Path, compute: Compute
) -> dict[str, FewStepFigures]:
    """Figures of each contender on held-out crops."""
    crops = Crops(folder, "held_out", CROP_CHUNKS, random_start=False)
    places = np.linspace(0, len(crops) - 1, min(CROPS, len(crops))).astype(int).tolist()
    batch = Batch.of(crops, places).to(compute.device)
    clean = normalised(teacher, batch.latents)
    noise = draw_noise(np.random.default_rng(SEED), clean)

    def history(model: VideoTransformer) -> ClearHistory:
        return ClearHistory(model, normalised(model, batch.reference), clean, batch.conditions)

    with compute.arithmetic():
        truth = sample_exactly(history(teacher), noise)
    figures = {}
    for name, model, steps in contenders:
        with compute.arithmetic():
            latents = sample(history(model), noise, steps)
        gap, true_gap = _gap(model, latents), _gap(teacher, truth)
        figures[name] = FewStepFigures(
            float((latents - truth)[..., WITHOUT_MOUTH].square().mean()),
            float((gap - true_gap).abs().mean()),
            float(gap.std() / true_gap.std()),
        )
    return figures


def _gap(model: VideoTransformer, latents: Tensor) -> Tensor:
    mouth = (latents * model.latent_std + model.latent_mean)[..., MOUTH]
    return mouth @ torch.from_numpy(mouth_basis().features["gap"]).to(mouth)
