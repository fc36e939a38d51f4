"""A directory of safetensors shards: what it holds, checked before anything is loaded."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from thinker_server.errors import WeightsUnusable

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_NAMED_AT_MOST = 4
"""Tensors that an error names; the rest are counted."""
Shape = tuple[int, ...]


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises WeightsUnusable naming the file."""
    try:
        value = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise WeightsUnusable(f"{file} is missing: fetch the model's files again") from None
    except (OSError, ValueError) as error:
        raise WeightsUnusable(f"{file} cannot be read ({error}): fetch it again") from None
    if not isinstance(value, dict):
        raise WeightsUnusable(f"{file} holds no JSON object: fetch it again")
    return value


class Checkpoint:
    """Names, shapes and tensors of the shards in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = _shards(directory)

    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor, read from the headers alone."""
        found: dict[str, Shape] = {}
        for file in self.files:
            with _opened(file) as shard:
                for name in shard.keys():  # noqa: SIM118 - a safe_open is no mapping
                    found[name] = tuple(shard.get_slice(name).get_shape())
        return found

    def verify(self, expected: Mapping[str, Shape], optional: Collection[str] = ()) -> None:
        """Hold the shards against a manifest. Raises WeightsUnusable naming what is wrong."""
        found = self.shapes()
        missing = [name for name in expected if name not in found]
        extra = [name for name in found if name not in expected and name not in optional]
        wrong = [
            f"{name} is {list(found[name])}, must be {list(shape)}"
            for name, shape in expected.items()
            if name in found and found[name] != tuple(shape)
        ]
        problems = [_listed("missing", missing), _listed("unknown", extra), _listed("wrong", wrong)]
        if any(problems):
            raise WeightsUnusable(
                f"{self.directory} does not hold the model that its config.json describes: "
                f"{'; '.join(filter(None, problems))}. Fetch the model's files again"
            )

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor, one at a time, shard by shard."""
        for file in self.files:
            with _opened(file) as shard:
                for name in shard.keys():  # noqa: SIM118
                    yield name, shard.get_tensor(name)


def _shards(directory: Path) -> list[Path]:
    index, single = directory / INDEX_FILE, directory / SINGLE_FILE
    if index.exists():
        named = read_json(index).get("weight_map", {}).values()
        files = [directory / name for name in sorted(set(named))]
    else:
        files = [single]
    if absent := [file.name for file in files if not file.is_file()]:
        raise WeightsUnusable(
            f"{directory} lacks {', '.join(absent)}: fetch the model's files again"
        )
    return files


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise WeightsUnusable(
            f"{file} is damaged or incomplete ({error}): delete it and fetch it again"
        ) from None


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return f"{what}: {', '.join(names[:_NAMED_AT_MOST])}{more}"
