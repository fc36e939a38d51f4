"""What one training step sees: crops of the dataset, named by (seed, number) and nothing else."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.model.conditioner import Conditions
from actor_server.motion.conditioning import UNKNOWN_PHONE
from actor_server.training.chunk_store import SplitName
from actor_server.training.config import Hiding
from actor_server.training.loss import MotionObjective
from actor_server.training.mirror import mirror_some
from actor_server.training.objective import Objective
from actor_server.training.sequences import Crops


@dataclass(frozen=True)
class Batch:
    """reference (B, R, D), latents (B, K, T, D) as stored, trusted (B, K, T, D) bool, conditions
    (B, K).
    """

    reference: Tensor
    latents: Tensor
    trusted: Tensor
    conditions: Conditions

    @classmethod
    def of(cls, crops: Crops, places: list[int]) -> Self:
        """The crops at these places of the dataset.

        Latents are relative to the portrait, so the reference is the same for all.
        """
        latents, trusted, fields, _ = default_collate([crops[place] for place in places])
        dropped = torch.zeros(latents.shape[:2], dtype=torch.bool)
        reference = torch.from_numpy(portrait_latent()).expand(len(places), 1, -1)
        return cls(reference, latents, trusted, Conditions(**fields, dropped=dropped))

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(
            self.reference.to(device),
            self.latents.to(device),
            self.trusted.to(device),
            self.conditions.to(device),
        )


class Source(Protocol):
    """Batches by their number in the run. The same seed and number give the same batch."""

    objective: Objective
    """What is to be made small on these batches."""

    def dice(self, number: int) -> np.random.Generator:
        """All chance of one batch: a run that is resumed draws what it would have drawn."""

    def draw(self, rng: np.random.Generator, number: int, chunks: int, count: int) -> Batch:
        """`count` crops of `chunks` chunks at most."""


class BatchSource:
    """The Source of motion latents: random crops of a split."""

    def __init__(self, folder: Path, split: SplitName, seed: int) -> None:
        self.objective: Objective = MotionObjective()
        self._folder = folder
        self._split = split
        self._seed = seed
        self._crops: dict[int, Crops] = {}

    def dice(self, number: int) -> np.random.Generator:
        """See `Source`."""
        return np.random.default_rng((self._seed, number))

    def draw(self, rng: np.random.Generator, number: int, chunks: int, count: int) -> Batch:
        """`count` random crops of `chunks` chunks, half of them mirrored."""
        crops = self.crops(chunks)
        crops.set_epoch(number)
        batch = Batch.of(crops, rng.integers(len(crops), size=count).tolist())
        return replace(batch, latents=mirror_some(batch.latents, rng))

    def crops(self, chunks: int) -> Crops:
        if chunks not in self._crops:
            self._crops[chunks] = Crops(
                self._folder, self._split, chunks, random_start=True, seed=self._seed
            )
        return self._crops[chunks]


def hide(conditions: Conditions, hiding: Hiding, rng: np.random.Generator) -> Conditions:
    """Withhold parts of the conditions by chance; see `Hiding`.

    Phones and features are never withheld from the same sequence: something must say what sounds.
    """
    rows, chunks = conditions.dropped.shape
    device = conditions.dropped.device

    def chosen(low: float, high: float, dice: "np.typing.NDArray[np.float64]") -> Tensor:
        return torch.from_numpy((dice >= low) & (dice < high)).to(device)

    sounds = rng.random(rows)
    no_phones = chosen(0.0, hiding.phones, sounds)
    no_features = chosen(hiding.phones, hiding.phones + hiding.features, sounds)
    no_text = chosen(0.0, hiding.text, rng.random(rows))
    dropped = torch.from_numpy(rng.random((rows, chunks)) < hiding.condition).to(device)
    return replace(
        conditions,
        phones=conditions.phones.masked_fill(no_phones[:, None, None, None], UNKNOWN_PHONE),
        audio=conditions.audio.masked_fill(no_features[:, None, None, None], 0.0),
        text_seen=conditions.text_seen & ~no_text[:, None, None],
        dropped=conditions.dropped | dropped,
    )
