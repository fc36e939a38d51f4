"""Train the paper-size Actor, one of the paper's two stages a run, on one process or on many.

    torchrun --nproc-per-node 8 -m actor_server.training.paper \
        --stage pretrain --data DIR --begin DIR --out DIR

DATA holds cached clips (`latent_store`), BEGIN the weights that the stage begins with: those of
`initialise`, or the actor/ that the stage before wrote. OUT gets checkpoints, figures and, at the
end, actor/. A run that was stopped goes on where its last checkpoint left off, also on another
number of processes. Only the Actor is trained: what the Thinker and the codec make is in DATA.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from actor_server.errors import WeightsUnusable
from actor_server.model.video_transformer import VideoTransformer
from actor_server.training.config import PAPER_STAGES, PaperStage
from actor_server.training.journal import Journal
from actor_server.training.latent_batches import LatentSource
from actor_server.training.ranks import Ranks, joined
from actor_server.training.sharded_checkpoint import read_sharded, write_sharded
from actor_server.training.sharding import load_sharded, whole_tensors
from actor_server.training.train import bf16_is_fast, follow
from actor_server.training.trainer import Compute, Trainer
from actor_server.weights import SamplerDefaults, save_actor_shards

WEIGHTS_NAME: Final = "actor"
SAVE_MINUTES: Final = 30.0


@dataclass(frozen=True)
class PaperRun:
    """What to train, on what, from which weights, for how long and where to."""

    data: Path
    begin: Path
    out: Path
    stage: PaperStage
    device: torch.device
    bf16: bool
    recompute: bool = True
    save_minutes: float = SAVE_MINUTES


def train_stage(run: PaperRun) -> None:
    """Train until the stage's budget is spent, and write the weights.

    Raises: WeightsUnusable; LatentsUnusable or another ValueError; FileExistsError.
    """
    if (run.out / WEIGHTS_NAME).exists():
        raise FileExistsError(f"{run.out / WEIGHTS_NAME} is there already: this run is done")
    run.out.mkdir(parents=True, exist_ok=True)
    with joined(run.device) as ranks:
        model, sampler = load_sharded(run.begin, run.device, ranks, bf16=run.bf16)
        config = run.stage.config
        source = LatentSource(run.data, model.geometry, config.seed)
        budget = run.stage.budget(len(source.clips))
        compute = Compute(run.device, recompute=run.recompute)
        trainer = Trainer(model, config, budget, source, compute, ranks)
        read_sharded(run.out, trainer)
        with Journal(run.out, tensorboard=False) if ranks.leads else nullcontext() as journal:
            follow(
                trainer, journal, lambda: write_sharded(run.out, trainer, ranks), run.save_minutes
            )
        _write_weights(run, trainer, sampler, source, ranks)


def _write_weights(
    run: PaperRun, trainer: Trainer, sampler: SamplerDefaults, source: LatentSource, ranks: Ranks
) -> None:
    recipe = json.dumps(
        {
            "training": run.stage.config.to_dict(),
            "begun with": run.begin.name,
            "steps": trainer.step,
            "hours": round(trainer.trained_s / 3600, 2),
            "processes": ranks.count,
            "data": source.clips.index.recipe,
        }
    )
    tensors = _stored(trainer.averaged_model)
    if ranks.leads:
        geometry = trainer.model.geometry
        save_actor_shards(run.out / WEIGHTS_NAME, geometry, tensors, sampler, recipe)
    else:
        for _ in tensors:
            pass


def _stored(model: VideoTransformer) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in whole_tensors(model):
        yield name, tensor.bfloat16() if tensor.ndim > 1 else tensor


def _device(name: str | None) -> torch.device:
    """The one named, or this process's GPU, or the CPU."""
    if name == "cpu" or (name is None and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def main() -> int:
    """Exit code 0 when the weights are there, 2 when the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    stages = [name.removeprefix("paper-") for name in PAPER_STAGES]
    parser.add_argument("--stage", choices=stages, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of cached clips")
    parser.add_argument("--begin", type=Path, required=True, help="weights to begin with")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="a GPU where there is one")
    parser.add_argument("--precision", choices=("bf16", "fp32"), help="bf16 where it is fast")
    for name, meaning in (
        ("steps", "instead of the stage's own length"),
        ("batch", "clips that a process computes at once"),
        ("parts", "batches in a step, shared out among the processes"),
        ("crop-chunks", "longest crop of a clip, in chunks of 0.32 s"),
    ):
        parser.add_argument(f"--{name}", type=_positive, help=meaning)
    parser.add_argument("--keep-activations", action="store_true", help="faster; needs memory")
    parser.add_argument("--save-minutes", type=float, default=SAVE_MINUTES)
    options = parser.parse_args()
    stage = PAPER_STAGES[f"paper-{options.stage}"].resized(
        options.batch, options.parts, options.crop_chunks, options.steps
    )
    device = _device(options.device)
    bf16 = options.precision == "bf16" or (options.precision is None and bf16_is_fast(device))
    try:
        train_stage(
            PaperRun(
                options.data,
                options.begin,
                options.out,
                stage,
                device,
                bf16,
                recompute=not options.keep_activations,
                save_minutes=options.save_minutes,
            )
        )
    except (WeightsUnusable, ValueError, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
