"""Directories of shards: whole or not there, and what is wrong with one is said."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from actor_server.errors import TensorsUnreadable
from actor_server.tensor_files import INDEX_FILE, TensorFiles, write_shards

pytestmark = pytest.mark.unit

TENSORS = {f"layer.{at}": torch.full((4, 8), float(at)) for at in range(5)}  # 128 bytes each
METADATA = {"said": "by every shard"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_shards(tmp_path / "model", TENSORS.items(), METADATA, shard_bytes=300)
    return tmp_path / "model"


def test_what_is_written_is_read(directory: Path) -> None:
    files = TensorFiles(directory)
    assert files.metadata == METADATA
    assert files.shapes == {name: tensor.shape for name, tensor in TENSORS.items()}
    read = dict(files.tensors())
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


def test_a_shard_is_as_full_as_it_may_be_and_the_index_says_where_each_tensor_is(
    directory: Path,
) -> None:
    index = json.loads((directory / INDEX_FILE).read_text())
    assert index["metadata"]["total_size"] == 5 * 128
    assert [*index["weight_map"].values()] == [
        f"model-0000{n}.safetensors" for n in (1, 1, 2, 2, 3)
    ]
    for name, file in index["weight_map"].items():
        with safe_open(directory / file, framework="pt") as shard:
            assert name in shard.keys()  # noqa: SIM118


def test_a_tensor_larger_than_a_shard_has_one_to_itself(tmp_path: Path) -> None:
    write_shards(tmp_path / "model", TENSORS.items(), METADATA, shard_bytes=1)
    assert len(TensorFiles(tmp_path / "model").files) == 5


def test_what_was_read_outlives_the_file(directory: Path) -> None:
    read = dict(TensorFiles(directory).tensors())
    for file in directory.iterdir():
        file.write_bytes(b"")
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


def test_where_something_is_already_nothing_is_written(directory: Path) -> None:
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    with pytest.raises(FileExistsError, match="delete it, or name another one"):
        write_shards(directory, TENSORS.items(), {})
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[str, Tensor]]:
        yield from TENSORS.items()
        raise TensorsUnreadable("the source is damaged")

    with pytest.raises(TensorsUnreadable):
        write_shards(tmp_path / "model", failing(), METADATA, shard_bytes=300)
    assert [*tmp_path.iterdir()] == []


def test_what_a_crash_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model.part").mkdir()
    (tmp_path / "model.part" / "model-00009.safetensors").write_bytes(b"half")
    write_shards(tmp_path / "model", TENSORS.items(), METADATA)
    assert len([*(tmp_path / "model").iterdir()]) == 2


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}']
)
def test_an_index_that_is_none_is_named(directory: Path, index: str) -> None:
    (directory / INDEX_FILE).write_text(index)
    with pytest.raises(TensorsUnreadable, match="is no index of shards"):
        TensorFiles(directory)
