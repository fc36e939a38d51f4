"""Crops of a dataset come back as they were written."""

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from actor_server.motion.conditioning import ConditionArrays, Visibility, condition_arrays
from actor_server.motion.source import CHUNK_LATENTS
from actor_server.training.chunk_store import (
    CONDITION_FIELDS,
    SPLITS,
    DatasetIndex,
    Sequence,
    Split,
    SplitWriter,
)
from actor_server.training.sequences import Crops
from tests.unit.actor_server.conditions import reply, speaking

pytestmark = pytest.mark.unit

SIGHT = Visibility(history_tokens=4, lookahead_tokens=0, state_width=6)


def sequence_of(first: int, chunks: int, source: str = "spoken") -> Sequence:
    """A sequence whose latents count chunks."""
    numbers = np.arange(first, first + chunks, dtype=np.float32)
    latents = np.broadcast_to(numbers[:, None, None], (chunks, *CHUNK_LATENTS)).copy()
    return Sequence(source, latents, np.ones(latents.shape, np.bool_), conditions(chunks))


def conditions(chunks: int) -> list[ConditionArrays]:
    spoken = [condition_arrays(c, SIGHT) for c in speaking(reply("M AA M IY B AA P UW F EH"))]
    return [spoken[place % len(spoken)] for place in range(chunks)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of two sequences of 7 and 3 chunks for training, and nothing else."""
    for split in SPLITS:
        writer = SplitWriter(tmp_path / split, SIGHT)
        if split == "train":
            writer.append(sequence_of(0, 7))
            writer.append(sequence_of(100, 3, "grid"))
        writer.close()
    DatasetIndex(SIGHT, [0.0] * 31, [1.0] * 31, {}).write(tmp_path)
    return tmp_path


def test_written_arrays_come_back_chunk_after_chunk(folder: Path) -> None:
    split = Split.open(folder, "train")
    assert split.sequences.tolist() == [[0, 7, 1], [7, 3, 0]]
    assert split.fields["latents"][:, 0, 0].tolist() == [*range(7), 100, 101, 102]
    written = conditions(7)
    for name in CONDITION_FIELDS:
        stored = split.fields[name][:7]
        np.testing.assert_array_equal(stored, np.stack([getattr(c, name) for c in written]))


def test_an_empty_split_can_be_opened(folder: Path) -> None:
    assert len(Crops(folder, "judge", 4, random_start=False)) == 0


def test_a_dataset_from_before_a_field_existed_says_what_to_do(folder: Path) -> None:
    (folder / "train" / "cues.npy").unlink()
    with pytest.raises(FileNotFoundError, match="lacks cues: build the dataset again"):
        Split.open(folder, "train")


def test_crops_without_random_start_lie_one_after_another(folder: Path) -> None:
    crops = Crops(folder, "train", 3, random_start=False)
    assert [crops[i].latents[:, 0, 0].tolist() for i in range(len(crops))] == [
        [0, 1, 2],
        [3, 4, 5],
        [100, 101, 102],
    ]
    assert [crops[i].source for i in range(len(crops))] == [1, 1, 0]


def test_a_short_sequence_is_prolonged_by_what_nobody_trusts(folder: Path) -> None:
    crop = Crops(folder, "train", 5, random_start=True)[1]
    assert crop.latents[:, 0, 0].tolist() == [100, 101, 102, 102, 102]
    assert crop.trusted[:, 0, 0].tolist() == [True, True, True, False, False]


def test_random_starts_repeat_with_the_epoch_and_cover_the_sequence(folder: Path) -> None:
    crops = Crops(folder, "train", 2, random_start=True, seed=3)
    again = Crops(folder, "train", 2, random_start=True, seed=3)
    starts = set()
    for epoch in range(40):
        crops.set_epoch(epoch)
        again.set_epoch(epoch)
        for index in range(3):
            crop = crops[index]
            assert crop.latents.equal(again[index].latents)
            assert crop.latents[1, 0, 0] == crop.latents[0, 0, 0] + 1
            starts.add(int(crop.latents[0, 0, 0]))
    assert starts == set(range(6))


def test_a_loader_batches_crops(folder: Path) -> None:
    loader = DataLoader(Crops(folder, "train", 3, random_start=False), batch_size=3)
    batch = next(iter(loader))
    assert batch.latents.shape == (3, 3, *CHUNK_LATENTS)
    assert batch.conditions["text"].shape == (3, 3, 26, 6)
    assert batch.conditions["kind"].shape == (3, 3)


def test_a_sequence_of_another_visibility_is_refused(tmp_path: Path) -> None:
    writer = SplitWriter(tmp_path, SIGHT)
    with pytest.raises(ValueError, match="text is"):
        writer.append(
            Sequence(
                "grid",
                np.zeros((1, *CHUNK_LATENTS), np.float32),
                np.ones((1, *CHUNK_LATENTS), np.bool_),
                [condition_arrays(speaking(reply())[0], Visibility(4, 0, 5))],
            )
        )
