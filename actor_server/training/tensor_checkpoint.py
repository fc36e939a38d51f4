"""A run's state on disk as one safetensors file: named tables of tensors, and facts as text.

Written whole or not at all; nothing in it is run when it is read.
"""

import os
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

CHECKPOINT_NAME: Final = "checkpoint.safetensors"
Tables = dict[str, dict[str, Tensor]]


def write_tensors(folder: Path, tables: Tables, facts: dict[str, str]) -> None:
    """Replace the folder's checkpoint; a crash leaves the one before."""
    tensors = {
        f"{table}/{name}": tensor.detach().cpu().contiguous()
        for table, parts in tables.items()
        for name, tensor in parts.items()
    }
    partial = folder / f"{CHECKPOINT_NAME}.partial"
    save_file(tensors, partial, {**facts, "tables": ",".join(tables)})
    os.replace(partial, folder / CHECKPOINT_NAME)


def read_tensors(folder: Path) -> tuple[Tables, dict[str, str]] | None:
    """The folder's checkpoint on the CPU, or None where there is none.

    Raises ValueError for a damaged file.
    """
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, str] = file.metadata()
            tables: Tables = {table: {} for table in facts.pop("tables").split(",")}
            for full in file.keys():  # noqa: SIM118
                table, name = full.split("/", 1)
                tables[table][name] = file.get_tensor(full)
    except (SafetensorError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, start again with --fresh ({error})") from error
    return tables, facts
