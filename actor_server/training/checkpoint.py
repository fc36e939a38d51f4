"""A run's state on disk, written whole or not at all."""

import os
from pathlib import Path
from typing import Any, Final

import torch

CHECKPOINT_NAME: Final = "checkpoint.pt"


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint; a crash leaves the one before."""
    partial = folder / f"{CHECKPOINT_NAME}.partial"
    torch.save(state, partial)
    os.replace(partial, folder / CHECKPOINT_NAME)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint on the CPU, or None where there is none."""
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
