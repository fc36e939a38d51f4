"""Train the Actor by chunk-wise diffusion forcing, and write its averaged weights as it goes.

    python -m actor_server.training.train --data DIR --out DIR --minutes 45 [--config nano]

A run that was stopped goes on where its last checkpoint left off. With `--steps` the same seed and
the same data give the same weights on the same machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import torch

from actor_server.codec.mesh.latent import LATENT_STD
from actor_server.model.geometry import NANO, ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.training.batches import BatchSource
from actor_server.training.checkpoint import read_checkpoint, write_checkpoint
from actor_server.training.chunk_store import DatasetIndex
from actor_server.training.config import PRESETS, Ablation, Budget, Levels, TrainingConfig
from actor_server.training.journal import Journal
from actor_server.training.trainer import Compute, Trainer
from actor_server.training.validation import HeldOut
from actor_server.weights import SamplerDefaults, load_actor, recipe_of, save_actor

WEIGHTS_NAME: Final = "actor.safetensors"
REPORT_S: Final = 20.0
SAMPLER: Final = SamplerDefaults(steps=8, window=2)
STD_BOUNDS: Final = (0.25, 4.0)
"""Bounds of a number's measured spread, in its `LATENT_STD`: what hardly moves in the data must
not turn into noise that is as loud as speech."""


@dataclass(frozen=True)
class Run:
    """What to train, on what, how long and where to."""

    data: Path
    out: Path
    config: TrainingConfig
    budget: Budget
    compute: Compute
    save_minutes: float = 3.0
    fresh: bool = False
    tensorboard: bool = False
    begin: Path | None = None
    """Weights to begin with, statistics included; None: random ones, the data's statistics."""


def new_model(data: Path, geometry: ActorGeometry, seed: int) -> VideoTransformer:
    """A random model for this dataset, with the dataset's statistics in its buffers.

    Raises ValueError when the dataset was built for another visibility.
    """
    _refuse_other_sight(data, geometry)
    index = DatasetIndex.read(data)
    torch.manual_seed(seed)
    model = VideoTransformer(geometry)
    usual = torch.from_numpy(LATENT_STD.copy())
    low, high = (bound * usual for bound in STD_BOUNDS)
    model.latent_mean.copy_(torch.tensor(index.latent_mean))
    model.latent_std.copy_(torch.tensor(index.latent_std).clamp(low, high))
    return model


def train(run: Run, geometry: ActorGeometry = NANO) -> Trainer:
    """Train until the budget is spent; checkpoints and weights are in `run.out`."""
    run.out.mkdir(parents=True, exist_ok=True)
    model = _first_model(run, geometry)
    source = BatchSource(run.data, "train", run.config.seed)
    trainer = Trainer(model, run.config, run.budget, source, run.compute)
    state = None if run.fresh else read_checkpoint(run.out)
    if state is not None:
        trainer.restore(state)
    held_out = HeldOut(run.data, run.config, run.compute)
    with Journal(run.out, run.tensorboard) as journal:
        follow(trainer, journal, lambda: _save(run, trainer, held_out, journal), run.save_minutes)
    return trainer


def _first_model(run: Run, geometry: ActorGeometry) -> VideoTransformer:
    if run.begin is None:
        return new_model(run.data, geometry, run.config.seed)
    begun, _ = load_actor(run.begin)
    _refuse_other_sight(run.data, begun.geometry)
    model = VideoTransformer(replace(begun.geometry, cues=geometry.cues))
    # cues that it never had begin at nothing; those that it has and should not are refused
    model.load_state_dict(model.state_dict() | begun.state_dict())
    return model.train()


def _refuse_other_sight(data: Path, geometry: ActorGeometry) -> None:
    built_for = DatasetIndex.read(data).visibility
    if built_for != geometry.sight:
        raise ValueError(f"{data} was built for {built_for}, the model sees {geometry.sight}")


def follow(
    trainer: Trainer, journal: Journal | None, save: Callable[[], None], save_minutes: float
) -> None:
    """Train until the budget is spent, report on the way, save on the way and at the end.

    All processes of a run save together; those that do not speak for it have no journal.
    """
    reported = saved = time.monotonic()
    while trainer.progress < 1:
        report = trainer.advance()
        now = time.monotonic()
        if journal is not None and (now - reported > REPORT_S or trainer.step == 1):
            reported = now
            loss = float(report.loss)
            journal.show(trainer.progress, f"{report.stage.name} {trainer.step}: {loss:.3f}")
            figures = {"loss": loss, "rate": report.rate, "norm": float(report.gradient_norm)}
            journal.record(trainer.step, figures | {"trained_s": trainer.trained_s})
        if trainer.all_wish(now - saved > 60 * save_minutes):
            save()
            saved = time.monotonic()
    save()
    if journal is not None:
        journal.show(1.0, f"done after {trainer.step} steps")


def _save(run: Run, trainer: Trainer, held_out: HeldOut, journal: Journal) -> None:
    write_checkpoint(run.out, trainer.state())
    data = DatasetIndex.read(run.data).recipe
    recipe: dict[str, Any] = {
        "training": run.config.to_dict(),
        "steps": trainer.step,
        "minutes": round(trainer.trained_s / 60, 1),
        "data": {name: value for name, value in data.items() if not isinstance(value, dict)},
    }
    if run.begin is not None:
        recipe["begun_with"] = recipe_of(run.begin)
    save_actor(run.out / WEIGHTS_NAME, trainer.averaged_model, SAMPLER, json.dumps(recipe))
    figures = held_out.figures(trainer.averaged_model)
    journal.record(trainer.step, {f"held_out/{name}": value for name, value in figures.items()})


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """How long and on what: the options of every program that trains."""
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="time to train, reports not counted")
    length.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, help="CPU threads; torch's own choice if not given")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("bf16", "fp32"), help="bf16 where it is fast")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and the ablations share."""
    parser.add_argument("--data", type=Path, required=True, help="folder that build wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--config", choices=sorted(PRESETS), default="nano")
    add_compute_options(parser)
    parser.add_argument("--seed", type=int, default=TrainingConfig.seed)
    parser.add_argument("--compile", action="store_true", help="1.6 times as fast; needs g++")
    parser.add_argument("--begin", type=Path, help="weights to begin with; default: random ones")
    parser.add_argument("--fresh", action="store_true", help="forget the folder's checkpoint")
    parser.add_argument("--tensorboard", action="store_true", help="figures in OUT/tensorboard too")


def compute_of(options: argparse.Namespace) -> Compute:
    """Where the options say to compute."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    bf16 = options.precision == "bf16" or (options.precision is None and bf16_is_fast(device))
    return Compute(device, bf16)


def run_of(options: argparse.Namespace) -> Run:
    """The run that the shared options describe."""
    return Run(
        options.data,
        options.out,
        replace(PRESETS[options.config], seed=options.seed),
        Budget(options.minutes, options.steps),
        replace(compute_of(options), compiled=options.compile),
        fresh=options.fresh,
        tensorboard=options.tensorboard,
        begin=options.begin,
    )


def bf16_is_fast(device: torch.device) -> bool:
    """Whether bf16 pays. On a CPU it is tried: some that have the instructions lack the units."""
    if device.type != "cpu":
        return bool(torch.cuda.is_bf16_supported())
    return _product_s(torch.bfloat16) < 0.8 * _product_s(torch.float32)


def _product_s(dtype: torch.dtype) -> float:
    """Seconds of a product of matrices, the best of some."""
    left, right = (torch.ones(512, 512, dtype=dtype) for _ in range(2))
    taken = []
    for _ in range(8):
        begun = time.perf_counter()
        left @ right
        taken.append(time.perf_counter() - begun)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add_run_options(parser)
    parser.add_argument("--teacher-forcing", action="store_true", help="ablation, table 3")
    parser.add_argument("--no-reference", action="store_true", help="ablation, table 3")
    parser.add_argument("--token-causal", action="store_true", help="ablation, table 3")
    parser.add_argument("--levels", choices=get_args(Levels), default="uniform", help="of noise")
    parser.add_argument("--layers", type=int, default=NANO.layers)
    parser.add_argument("--width", type=int, default=NANO.width, help="a multiple of 128")
    parser.add_argument("--context-chunks", type=int, default=NANO.context_chunks)
    options = parser.parse_args()
    run = run_of(options)
    ablation = Ablation(options.teacher_forcing, options.no_reference, options.token_causal)
    config = run.config.ablated(ablation).with_levels(options.levels)
    geometry = NANO.resized(options.layers, options.width, options.context_chunks)
    if options.begin is not None and geometry != NANO:
        parser.error("the size is that of the weights to begin with: leave out --begin or the size")
    if options.teacher_forcing and options.levels != "uniform":
        parser.error("teacher forcing draws its one noisy chunk uniformly: leave out --levels")
    train(replace(run, config=config), geometry)


if __name__ == "__main__":
    main()
