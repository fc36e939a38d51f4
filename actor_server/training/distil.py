"""Teach the Actor to take few large steps: a chunk in N passes instead of dozens.

    python -m actor_server.training.distil --teacher FILE --data DIR --out FILE --steps 240

Progressive distillation (arXiv 2202.00512, section 3) in one go: one DDIM step of the student
lands where smaller ones of second order take the teacher, from the same noisy chunk behind the
same history. The way from noise to motion is one curve once the noise is drawn, so nothing is
averaged away. The mouth alone is only held to the teacher's own DDIM step of the student's size,
which shrinks what varies freely: of lips that is what the voice does not determine.

In a share of the steps the history, and what is made noisy, is what the student itself made under
the crop's conditions: in a call it follows nothing else (arXiv 2306.13649 does so for language).
"""

import argparse
import json
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from math import cos, pi, sin
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from actor_server.codec.mesh.latent import MOUTH
from actor_server.model.video_transformer import VideoTransformer
from actor_server.schedule import add_noise, ddim_step, midpoint_step
from actor_server.training.batches import Batch, BatchSource, hide
from actor_server.training.clear_history import ClearHistory
from actor_server.training.config import Budget, Hiding
from actor_server.training.ema import averaged
from actor_server.training.few_steps import Contender, few_step_figures, perform
from actor_server.training.forcing import HISTORY_LEVEL, draw_noise
from actor_server.training.journal import Journal
from actor_server.training.loss import chunk_weights, motion_loss
from actor_server.training.train import REPORT_S, add_compute_options, compute_of
from actor_server.training.trainer import Compute, normalised
from actor_server.weights import SamplerDefaults, load_actor, recipe_of, save_actor

WINDOW: Final = 1
"""Chunks in flight of a distilled model: it learned each chunk behind clean ones only."""


@dataclass(frozen=True)
class DistilConfig:
    """steps: N of the student; substeps: steps of second order, two evaluations each, of the
    teacher for one of the student's."""

    steps: int = 4
    substeps: int = 2
    own_share: float = 0.5
    """Of the steps, those behind the student's own history."""
    crop_chunks: int = 16
    batch: int = 8
    peak_rate: float = 1e-4
    final_rate: float = 1e-6
    warmup_steps: int = 30
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    seed: int = 3


class Distiller:
    """A student that begins as its teacher and is drawn to where the teacher's small steps lead;
    the mouth, to where its large ones do."""

    def __init__(
        self, teacher: VideoTransformer, config: DistilConfig, source: BatchSource, compute: Compute
    ) -> None:
        self._teacher = teacher.to(compute.device).eval().requires_grad_(False)
        self._student = deepcopy(self._teacher).train().requires_grad_(True)
        self._config, self._source, self._compute = config, source, compute
        self._ema = averaged(self._student, config.ema_decay)
        self._optimiser = torch.optim.AdamW(
            self._student.parameters(), betas=(0.9, 0.98), weight_decay=0.0, fused=True
        )
        self.step = 0

    @property
    def student(self) -> VideoTransformer:
        """The averaged student."""
        module = self._ema.module
        assert isinstance(module, VideoTransformer)
        return module

    def advance(self, progress: float) -> Tensor:
        """Train one step at `progress` (0..1) of the budget; the loss, still on the device."""
        config = self._config
        falling = config.final_rate + (config.peak_rate - config.final_rate) * (
            (1 + cos(pi * min(progress, 1.0))) / 2
        )
        for group in self._optimiser.param_groups:
            group["lr"] = falling * min(1.0, (self.step + 1) / config.warmup_steps)
        loss = self._loss()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._student.parameters(), config.clip_norm)
        self._optimiser.step()
        self._ema.update_parameters(self._student)
        self.step += 1
        return loss.detach()

    def _loss(self) -> Tensor:
        config, rng = self._config, self._source.dice(self.step)
        batch = self._source.draw(rng, self.step, config.crop_chunks, config.batch)
        batch = batch.to(self._compute.device)
        batch = replace(batch, conditions=hide(batch.conditions, Hiding(), rng))
        if rng.random() < config.own_share:
            clean = self._performed(batch, int(rng.integers(2**32)))
        else:
            clean = normalised(self._teacher, batch.latents)
        step = torch.from_numpy(rng.integers(1, config.steps + 1, size=(*clean.shape[:2], 1, 1)))
        level = (step / config.steps).to(clean)
        noisy = add_noise(clean, draw_noise(rng, clean), level)
        trace = torch.tensor(HISTORY_LEVEL).to(clean)
        past = add_noise(clean, draw_noise(rng, clean), trace)  # as the teacher learned it
        with self._compute.arithmetic():
            with torch.no_grad():
                shown = self._history(self._teacher, past, batch)
                target = distillation_target(shown, noisy, level, config)
            history = self._history(self._student, past, batch)
            predicted = history.velocity_at(noisy, level)
        reached = ddim_step(noisy, predicted, level, level - 1 / config.steps)
        # in units of the velocity: all steps are turns by the same angle
        deviations = (reached - target) / sin(pi / 2 / config.steps)
        follows = torch.ones(clean.shape[:2], dtype=torch.bool, device=clean.device)
        counted = chunk_weights(batch.conditions).expand_as(deviations)
        return motion_loss(deviations, counted, follows)

    def _performed(self, batch: Batch, seed: int) -> Tensor:
        """What the averaged student makes of the conditions by itself."""
        reference = normalised(self.student, batch.reference)
        return perform(self.student, reference, batch.conditions, self._config.steps, seed)

    def _history(self, model: VideoTransformer, past: Tensor, batch: Batch) -> ClearHistory:
        return ClearHistory(model, normalised(model, batch.reference), past, batch.conditions)


def distillation_target(
    history: ClearHistory, noisy: Tensor, level: Tensor, config: DistilConfig
) -> Tensor:
    """Where a student's step from `level` should lead noisy chunks, (B, K, T, D)."""
    size = 1 / config.steps
    velocity = history.velocity_at(noisy, level)
    one_step = ddim_step(noisy, velocity, level, level - size)
    first: Tensor | None = velocity
    for number in range(config.substeps):
        now, after = (level - n * size / config.substeps for n in (number, number + 1))
        noisy = midpoint_step(noisy, history.velocity_at, now, after, first)
        first = None
    target = noisy.clone()
    target[..., MOUTH] = one_step[..., MOUTH]
    return target


@dataclass(frozen=True)
class DistilRun:
    """What to distil, on what, how long and where to."""

    teacher: Path
    data: Path
    out: Path
    config: DistilConfig
    budget: Budget
    compute: Compute


def distil(run: DistilRun) -> dict[str, dict[str, float]]:
    """Distil, write `run.out` and, beside it, figures of few steps before and after."""
    teacher, _ = load_actor(run.teacher)
    source = BatchSource(run.data, "train", run.config.seed)
    distiller = Distiller(teacher, run.config, source, run.compute)
    run.out.parent.mkdir(parents=True, exist_ok=True)
    begun = reported = time.monotonic()
    with Journal(run.out.parent, tensorboard=False) as journal:
        while (progress := run.budget.progress(distiller.step, time.monotonic() - begun)) < 1:
            loss = distiller.advance(progress)
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                journal.show(progress, f"distilling {distiller.step}: {float(loss):.4f}")
                journal.record(distiller.step, {"loss": float(loss)})
    distilled = asdict(run.config) | {"distilled_steps": distiller.step}
    recipe = recipe_of(run.teacher) | {"distilled": distilled}
    sampler = SamplerDefaults(run.config.steps, WINDOW)
    save_actor(run.out, distiller.student, sampler, json.dumps(recipe))
    return _figures(run, teacher, distiller.student)


def _figures(
    run: DistilRun, teacher: VideoTransformer, student: VideoTransformer
) -> dict[str, dict[str, float]]:
    steps = run.config.steps
    contenders = [
        Contender(f"teacher N={n}", teacher, n) for n in (steps, 2 * steps, 4 * steps)
    ] + [Contender(f"student N={steps}", student, steps)]
    figures = few_step_figures(teacher, contenders, run.data, run.compute)
    table = {name: row._asdict() for name, row in figures.items()}
    run.out.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--teacher", type=Path, required=True, help="weights that train wrote")
    parser.add_argument("--n", type=int, default=DistilConfig.steps, help="passes of a chunk")
    parser.add_argument("--data", type=Path, required=True, help="folder that build wrote")
    parser.add_argument("--out", type=Path, required=True, help="weights to write")
    add_compute_options(parser)
    parser.add_argument("--seed", type=int, default=DistilConfig.seed)
    parser.add_argument("--own-share", type=float, default=DistilConfig.own_share)
    options = parser.parse_args()
    budget = Budget(options.minutes, options.steps)
    config = DistilConfig(steps=options.n, own_share=options.own_share, seed=options.seed)
    compute = compute_of(options)
    run = DistilRun(options.teacher, options.data, options.out, config, budget, compute)
    for name, figures in distil(run).items():
        print(name, "  ".join(f"{key} {value:.4f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
