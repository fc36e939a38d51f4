"""The state of a run whose model is spread over processes; any number of them can go on with it.

A checkpoint is a folder of safetensors files, one a process, with each tensor's place in the whole,
and the facts as JSON. It is there whole or not at all, and the one before it stays until then.
"""

import json
import shutil
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from actor_server.training.ranks import Ranks
from actor_server.training.trainer import Trainer

FOLDERS: Final = "checkpoint-*"
FACTS_NAME: Final = "facts.json"
MOMENTS: Final = ("exp_avg", "exp_avg_sq")
"""Of AdamW, for each weight."""


def write_sharded(folder: Path, trainer: Trainer, ranks: Ranks) -> None:
    """Write the run's state; all processes together."""
    final = folder / f"checkpoint-{trainer.step:08}"
    if final.exists():
        return
    part = folder / "unfinished"
    if ranks.leads:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    ranks.meet()
    writer = HuggingFaceStorageWriter(str(part), save_distributed=True)
    save(_tensors(trainer), storage_writer=writer)
    if ranks.leads:
        (part / FACTS_NAME).write_text(json.dumps(trainer.facts()), "utf-8")
        before = _found(folder)
        part.rename(final)
        for old in before:
            shutil.rmtree(old)
    ranks.meet()


def read_sharded(folder: Path, trainer: Trainer) -> bool:
    """Go on from the folder's last checkpoint, if there is one; all processes together.

    Raises ValueError for another run's.
    """
    found = _found(folder)
    if not found:
        return False
    facts = json.loads((found[-1] / FACTS_NAME).read_text("utf-8"))
    trainer.resume(facts)
    for weight in trainer.model.parameters():
        trainer.optimiser.state[weight] = {
            "step": torch.tensor(float(trainer.step), device=weight.device),
            **{name: torch.zeros_like(weight) for name in MOMENTS},
        }
    reader = HuggingFaceStorageReader(str(found[-1]))
    load(_tensors(trainer), storage_reader=reader)
    return True


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Weights and their moments, as they lie in memory."""
    tensors = {f"model.{name}": part for name, part in trainer.model.state_dict().items()}
    for name, weight in trainer.model.named_parameters():
        moments = trainer.optimiser.state[weight]
        tensors |= {f"{kind}.{name}": moments[kind] for kind in MOMENTS}
    return tensors


def _found(folder: Path) -> list[Path]:
    return sorted(folder.glob(FOLDERS))
