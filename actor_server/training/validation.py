"""How a model does on what it was not trained on: its loss, and whether lips follow the speech."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import MOUTH
from actor_server.model.conditioner import Conditions
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import KINDS, UNKNOWN_PHONE
from actor_server.training.batches import Batch
from actor_server.training.config import Ablation, Stage, TrainingConfig
from actor_server.training.forcing import Forced, draw_levels, draw_noise, force
from actor_server.training.loss import (
    chunk_weights,
    group_errors,
    velocity_errors,
    velocity_loss,
)
from actor_server.training.sequences import Crops
from actor_server.training.trainer import Compute, normalised, sight_of

CROP_CHUNKS: Final = 16
CROPS: Final = 32
BATCH: Final = 8
SEED: Final = 20_000
Sums = defaultdict[str, float]


class HeldOut:
    """The same crops, levels and noise at every call, so that figures of a run compare."""

    def __init__(self, folder: Path, config: TrainingConfig, compute: Compute) -> None:
        self._crops = Crops(folder, "held_out", CROP_CHUNKS, random_start=False)
        if len(self._crops) == 0:
            raise ValueError(f"{folder} holds no held_out sequences to measure on")
        self._config = config
        self._compute = compute

    @torch.no_grad()
    def figures(self, model: VideoTransformer) -> dict[str, float]:
        """Mean squared velocity errors `loss` and `loss/<group>`; `gap_r` and `gap_r/features`.

        gap_r: correlation of the lips' opening with what the model expects from the condition
        alone (t = 1, where v = -x0), of spoken frames; `/features` without phones.
        """
        was_training = model.training
        model.eval()
        loss, sums, counts = 0.0, Sums(float), Sums(float)
        opening: dict[str, list[Tensor]] = {"truth": [], "gap_r": [], "gap_r/features": []}
        batches = list(self._batches())
        for number, batch in enumerate(batches):
            rng = np.random.default_rng((SEED, number))
            loss += self._add_errors(model, batch, rng, sums, counts) / len(batches)
            heard = _spoken(batch)
            opening["truth"].append(_gap(batch.latents)[heard])
            for name, conditions in (
                ("gap_r", batch.conditions),
                ("gap_r/features", _without_phones(batch.conditions)),
            ):
                expected = self._expected(model, replace(batch, conditions=conditions), rng)
                opening[name].append(_gap(expected)[heard])
        model.train(was_training)
        figures = {f"loss/{name}": sums[name] / max(counts[name], 1.0) for name in sums}
        rows = {name: torch.cat(parts) for name, parts in opening.items()}
        figures |= {name: _correlation(rows["truth"], rows[name]) for name in rows if "_" in name}
        return {"loss": loss, **figures}

    def _batches(self) -> Iterator[Batch]:
        """Crops spread evenly over the split."""
        count = min(CROPS, len(self._crops))
        places = np.linspace(0, len(self._crops) - 1, count).astype(int).tolist()
        for first in range(0, count, BATCH):
            batch = Batch.of(self._crops, places[first : first + BATCH])
            yield batch.to(self._compute.device)

    def _add_errors(
        self,
        model: VideoTransformer,
        batch: Batch,
        rng: np.random.Generator,
        sums: Sums,
        counts: Sums,
    ) -> float:
        stage = Stage("held out", 1.0, CROP_CHUNKS, BATCH, 0.0, 0.0, (0.5, 0.5))
        shape = (batch.latents.shape[0], batch.latents.shape[1])
        levels = torch.from_numpy(draw_levels(rng, shape, stage, Ablation()))
        clean = normalised(model, batch.latents)
        forced = force(clean, draw_noise(rng, clean), levels.to(clean.device))
        predicted = self._predict(model, forced, batch)
        for name, (total, count) in group_errors(
            *velocity_errors(predicted, forced, batch.trusted)
        ).items():
            sums[name] += total
            counts[name] += count
        return float(
            velocity_loss(predicted, forced, batch.trusted, chunk_weights(batch.conditions))
        )

    def _expected(self, model: VideoTransformer, batch: Batch, rng: np.random.Generator) -> Tensor:
        """Latents (B, K, T, D) expected from the conditions and nothing else."""
        noise = draw_noise(rng, batch.latents)
        forced = force(noise, noise, torch.ones(noise.shape[:2], device=noise.device))
        predicted = self._predict(model, forced, batch)
        return model.latent_mean - predicted.float() * model.latent_std

    def _predict(self, model: VideoTransformer, forced: Forced, batch: Batch) -> Tensor:
        reference = normalised(model, batch.reference)
        sight = sight_of(self._config.ablation)
        with self._compute.arithmetic():
            velocity: Tensor = model(
                reference, forced.noised, forced.levels, batch.conditions, **sight
            )
        return velocity


def _spoken(batch: Batch) -> Tensor:
    """(B, K, T) bool: frames of speech whose mouth is known."""
    speaking = batch.conditions.kind == KINDS.index("speaking")
    return batch.trusted[..., MOUTH].all(-1) & speaking[..., None]


def _gap(latents: Tensor) -> Tensor:
    row = torch.from_numpy(mouth_basis().features["gap"]).to(latents)
    return latents[..., MOUTH] @ row


def _without_phones(conditions: Conditions) -> Conditions:
    return replace(conditions, phones=torch.full_like(conditions.phones, UNKNOWN_PHONE))


def _correlation(truth: Tensor, guess: Tensor) -> float:
    if len(truth) < 2:
        return float("nan")
    return float(torch.corrcoef(torch.stack([truth, guess]))[0, 1])
