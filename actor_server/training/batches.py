"""What one training step sees: crops of the dataset, named by (seed, step) and nothing else."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from actor_server.model.conditioner import Conditions
from actor_server.motion.conditioning import UNKNOWN_PHONE
from actor_server.training.chunk_store import SplitName
from actor_server.training.config import Hiding
from actor_server.training.mirror import mirror_some
from actor_server.training.sequences import Crops


@dataclass(frozen=True)
class Batch:
    """latents (B, K, T, D) as stored, trusted (B, K, T, D) bool, conditions (B, K)."""

    latents: Tensor
    trusted: Tensor
    conditions: Conditions

    @classmethod
    def of(cls, crops: Crops, places: list[int]) -> Self:
        """The crops at these places of the dataset."""
        latents, trusted, fields, _ = default_collate([crops[place] for place in places])
        dropped = torch.zeros(latents.shape[:2], dtype=torch.bool)
        return cls(latents, trusted, Conditions(**fields, dropped=dropped))

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; conditions as float32."""
        conditions = self.conditions.to(device, torch.float32)
        return Batch(self.latents.to(device), self.trusted.to(device), conditions)


class BatchSource:
    """Random batches of a split. The same (seed, step) gives the same batch, in any order."""

    def __init__(self, folder: Path, split: SplitName, seed: int) -> None:
        self._folder = folder
        self._split = split
        self._seed = seed
        self._crops: dict[int, Crops] = {}

    def dice(self, step: int) -> np.random.Generator:
        """All chance of one step: a run that is resumed draws what it would have drawn."""
        return np.random.default_rng((self._seed, step))

    def draw(self, rng: np.random.Generator, step: int, chunks: int, count: int) -> Batch:
        """`count` random crops of `chunks` chunks, half of them mirrored."""
        crops = self.crops(chunks)
        crops.set_epoch(step)
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
