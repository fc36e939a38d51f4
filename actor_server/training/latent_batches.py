"""Batches of cached clips: each clip once an epoch, in an order named by seed and epoch."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from actor_server.model.conditioner import Conditions
from actor_server.model.geometry import ActorGeometry
from actor_server.training.batches import Batch
from actor_server.training.latent_crops import LatentClips, LatentCrop
from actor_server.training.objective import Objective, VelocityObjective

ORDER: Final = 40_000
"""Sets the dice of an epoch's order apart from those of a batch."""


class LatentSource:
    """The Source of LTX latents.

    A clip longer than a crop gives a crop from a random chunk on. In a batch of unequal crops the
    shorter ones are prolonged, untrusted: nothing that comes before can see it.
    """

    def __init__(self, folder: Path, geometry: ActorGeometry, seed: int) -> None:
        """Raises LatentsUnusable."""
        self.objective: Objective = VelocityObjective()
        self.clips = LatentClips(folder, geometry)
        self._seed = seed
        self._order = lru_cache(1)(self._drawn_order)

    def dice(self, number: int) -> np.random.Generator:
        """See `Source`."""
        return np.random.default_rng((self._seed, number))

    def draw(self, rng: np.random.Generator, number: int, chunks: int, count: int) -> Batch:
        """The next `count` clips, crops of at most `chunks` chunks."""
        crops = []
        for row in range(number * count, (number + 1) * count):
            epoch, place = divmod(row, len(self.clips))
            clip = int(self._order(epoch)[place])
            room = max(0, int(self.clips.lengths[clip]) - chunks)
            crops.append(self.clips.crop(clip, int(rng.integers(room + 1)), chunks))
        return _batch_of(crops)

    def _drawn_order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, ORDER, epoch)).permutation(len(self.clips))


def _batch_of(crops: list[LatentCrop]) -> Batch:
    lengths = [len(crop.latents) for crop in crops]
    longest = max(lengths)
    latents = torch.from_numpy(np.stack([_prolonged(crop.latents, longest) for crop in crops]))
    there = torch.arange(longest) < torch.tensor(lengths)[:, None]  # (B, K)
    conditions = {
        name: np.stack([_prolonged(crop.conditions[name], longest) for crop in crops])
        for name in crops[0].conditions
    }
    return Batch(
        torch.from_numpy(np.stack([crop.reference for crop in crops])),
        latents,
        there[..., None, None].expand(latents.shape),
        Conditions.from_numpy(conditions),
    )


def _prolonged(rows: NDArray[Any], length: int) -> NDArray[Any]:
    """Rows (K, ...) repeated from the last one on, to (length, ...)."""
    return rows[np.minimum(np.arange(length), len(rows) - 1)]
