"""Tensors on disk: one safetensors file, or a directory of shards as transformers writes it.

Tensors come and go one at a time and files are read, not mapped: no model is held twice, and a
file may be replaced while what was read from it is in use.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Size, Tensor

from actor_server.errors import TensorsUnreadable

SINGLE_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"
SHARD_BYTES: Final = 2 * 1024**3


class TensorFiles:
    """What lies at `path`: metadata and shapes from the headers, tensors when they are asked for.

    Raises: TensorsUnreadable, here and while tensors are read.
    """

    def __init__(self, path: Path) -> None:
        self.files = _shards(path) if path.is_dir() else [path]
        self.metadata: dict[str, str] = {}
        self.shapes: dict[str, Size] = {}
        for number, file in enumerate(self.files):
            with _opened(file) as shard:
                metadata = shard.metadata() or {}
                if number and metadata != self.metadata:
                    raise TensorsUnreadable(f"{file} belongs to another model than its neighbours")
                self.metadata = metadata
                names = shard.keys()
                self.shapes |= {name: Size(shard.get_slice(name).get_shape()) for name in names}

    def tensors(self, device: torch.device | str = "cpu") -> Iterator[tuple[str, Tensor]]:
        """Every tensor as it is stored, one at a time."""
        for file in self.files:
            with _opened(file, device) as shard:
                for name in shard.keys():  # noqa: SIM118 - a safe_open is no mapping
                    yield name, shard.get_tensor(name)


def write_shards(
    directory: Path,
    tensors: Iterable[tuple[str, Tensor]],
    metadata: dict[str, str],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Make a directory of shards, whole or not at all; each of them says the metadata.

    Raises: FileExistsError where something is there already.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} is there already: delete it, or name another one")
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _write_into(part, tensors, metadata, shard_bytes)
        part.rename(directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_into(
    directory: Path,
    tensors: Iterable[tuple[str, Tensor]],
    metadata: dict[str, str],
    shard_bytes: int,
) -> None:
    shard: dict[str, Tensor] = {}
    weight_map: dict[str, str] = {}
    shards = total = 0

    def write() -> None:
        nonlocal shards, total
        shards += 1
        file = f"model-{shards:05}.safetensors"
        save_file(shard, directory / file, metadata)
        weight_map.update(dict.fromkeys(shard, file))
        total += sum(tensor.nbytes for tensor in shard.values())
        shard.clear()

    for name, tensor in tensors:
        if shard and sum(one.nbytes for one in shard.values()) + tensor.nbytes > shard_bytes:
            write()
        shard[name] = tensor.detach().contiguous()
    write()
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")


def _shards(directory: Path) -> list[Path]:
    index = directory / INDEX_FILE
    files = [directory / SINGLE_FILE]
    if index.is_file():
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            files = [directory / name for name in sorted(names)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TensorsUnreadable(f"{index} is no index of shards ({error!r})") from error
    if absent := [file.name for file in files if not file.is_file()]:
        raise TensorsUnreadable(f"{directory} lacks {', '.join(absent)}")
    return files


@contextmanager
def _opened(file: Path, device: torch.device | str = "cpu") -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt", device=str(device), backend="pread") as shard:
            yield shard
    except (SafetensorError, OSError) as error:
        raise TensorsUnreadable(f"{file} is damaged or cut short ({error})") from error
