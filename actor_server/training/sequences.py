"""Crops of a built dataset as tensors: what training and evaluation iterate over.

Dimension letters: K chunks of a crop, D = 31 latent numbers; others as in `conditioning`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from actor_server.training.chunk_store import CONDITION_FIELDS, Split, SplitName


class Crop(NamedTuple):
    """K chunks in a row. `default_collate` puts a batch axis before each tensor.

    latents (K, 8, D) float32, not normalised; trusted (K, 8, D) bool: where the loss counts;
    conditions: the fields of ConditionArrays by name, each (K, ...) in its stored number type;
    source: place in `SOURCES`.
    """

    latents: torch.Tensor
    trusted: torch.Tensor
    conditions: dict[str, torch.Tensor]
    source: int


class Crops(Dataset[Crop]):
    """Every sequence gives one crop for each K chunks that it has, and one at least.

    Random starts are named by (seed, epoch, index), so a run can be resumed: call `set_epoch`.
    Without `random_start` the crops lie one after another. A sequence shorter than K is prolonged
    by its last chunk, untrusted: nothing that comes before can see it.
    """

    def __init__(
        self,
        folder: Path,
        split: SplitName,
        chunks: int,
        *,
        random_start: bool,
        seed: int = 0,
    ) -> None:
        if chunks < 1:
            raise ValueError(f"a crop of {chunks} chunks")
        self._split = Split.open(folder, split)
        self._chunks = chunks
        self._random_start = random_start
        self._seed = seed
        self._epoch = 0
        counts = np.maximum(1, self._split.sequences[:, 1] // chunks)
        self._sequence_of = np.repeat(np.arange(len(counts)), counts)
        self._first_of = np.concatenate([[0], np.cumsum(counts)])

    def set_epoch(self, epoch: int) -> None:
        """Draw other starts. With worker processes: before the loader's iterator is made."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._sequence_of)

    def __getitem__(self, index: int) -> Crop:
        row = int(self._sequence_of[index])
        first, length, source = (int(number) for number in self._split.sequences[row])
        begin = first + self._start(index, index - int(self._first_of[row]), length)
        places = np.minimum(np.arange(begin, begin + self._chunks), first + length - 1)
        fields = self._split.fields
        trusted = fields["trusted"][places]
        trusted[np.arange(begin, begin + self._chunks) >= first + length] = False
        return Crop(
            _tensor(fields["latents"][places]),
            _tensor(trusted),
            {name: _tensor(fields[name][places]) for name in CONDITION_FIELDS},
            source,
        )

    def _start(self, index: int, number: int, length: int) -> int:
        """Where a sequence's crop begins, in chunks from its beginning."""
        if not self._random_start:
            return number * self._chunks
        room = max(0, length - self._chunks)
        dice = np.random.default_rng((self._seed, self._epoch, index))
        return int(dice.integers(room + 1))


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
