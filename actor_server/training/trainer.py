"""The training loop's one step, and the state that a run resumes from."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from actor_server.model.video_transformer import VideoTransformer
from actor_server.training.batches import Batch, Source, hide
from actor_server.training.config import Ablation, Budget, Stage, TrainingConfig
from actor_server.training.ema import averaged
from actor_server.training.forcing import draw_levels, draw_noise, force
from actor_server.training.learning_rate import learning_rate
from actor_server.training.ranks import Ranks, whole

ONE_PROCESS: Final = Ranks()


@dataclass(frozen=True)
class Compute:
    """Where and how precisely a run computes; bf16 keeps the weights and the loss in float32.

    compiled: fuse what lies between matrix products, after a minute or two of compiling.
    recompute: keep only what goes from layer to layer and compute each layer again in the backward
    pass (gradient checkpointing): a third more work, a fraction of the memory.
    """

    device: torch.device
    bf16: bool = False
    compiled: bool = False
    recompute: bool = False

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Mixed precision, and `attention`."""
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
            self.attention(),
        ):
            yield

    @contextmanager
    def attention(self) -> Iterator[None]:
        """On a CPU plain attention: the fused one's backward is slower."""
        kernels = [SDPBackend.MATH]
        if self.device.type != "cpu":
            kernels = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        with sdpa_kernel(kernels):
            yield


@dataclass(frozen=True)
class StepReport:
    """What one step did. `loss` and `gradient_norm` stay on the device until they are asked for."""

    stage: Stage
    rate: float
    loss: Tensor
    gradient_norm: Tensor


@dataclass(frozen=True)
class _Part:
    """One batch of a step, before it is on the device: levels (B, K), counted (B, K, T, D)."""

    rng: np.random.Generator
    batch: Batch
    levels: Tensor
    counted: Tensor


class Trainer:
    """Trains a VideoTransformer by chunk-wise diffusion forcing.

    No generator state is kept: every draw is named by (seed, step), so the step number resumes it.
    A step's batches are shared out among `ranks`, whose models are sharded already.
    """

    def __init__(
        self,
        model: VideoTransformer,
        config: TrainingConfig,
        budget: Budget,
        source: Source,
        compute: Compute,
        ranks: Ranks = ONE_PROCESS,
    ) -> None:
        self.model = model.to(compute.device)
        self.config = config
        self.step = 0
        self.trained_s = 0.0
        self._budget = budget
        self._source = source
        self._compute = compute
        self._ranks = ranks
        self._ema = None
        if config.ema_decay is not None:
            self._ema = averaged(self.model, config.ema_decay)
        self.optimiser = torch.optim.AdamW(
            _decayed(self.model, config.weight_decay), betas=config.betas, fused=True
        )
        self.model.recompute_layers(compute.recompute)
        self._forward = torch.compile(self.model, dynamic=False) if compute.compiled else self.model

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        return self._budget.progress(self.step, self.trained_s)

    @property
    def averaged_model(self) -> VideoTransformer:
        """The model with the averaged weights, or the model: what is measured and shipped."""
        if self._ema is None:
            return self.model
        module = self._ema.module
        assert isinstance(module, VideoTransformer)
        return module

    def all_wish(self, wish: bool) -> bool:
        """Whether any process of the run wishes something that all must do together."""
        return self._ranks.agree(wish, self._compute.device)

    def advance(self) -> StepReport:
        """Train one step."""
        started = time.monotonic()
        stage, _ = self.config.stage_at(self.progress)
        rate = learning_rate(self.config, self.step, self.progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._add_gradients(stage)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimiser.step()
        if self._ema is not None:
            self._ema.update_parameters(self.model)
        self.step += 1
        self.trained_s += time.monotonic() - started
        return StepReport(stage, rate, loss, whole(norm))

    def _add_gradients(self, stage: Stage) -> Tensor:
        """Of the loss over all parts of the step; the loss.

        Sharded models average gradients over the processes, so each part counts `ranks.count`
        times as much.
        """
        first = self.step * stage.parts
        parts = [self._drawn(stage, first + own) for own in self._ranks.share(stage.parts)]
        device = self._compute.device
        counted = torch.stack([part.counted.sum() for part in parts]).sum().to(device)
        counted = self._ranks.total(counted).clamp(min=1.0)
        losses = []
        for part in parts:
            loss = self._total(part) / counted
            with self._compute.attention():  # layers that are computed again must do the same
                (loss * self._ranks.count).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return self._ranks.total(torch.stack(losses).sum())

    def _drawn(self, stage: Stage, number: int) -> _Part:
        rng = self._source.dice(number)
        batch = self._source.draw(rng, number, stage.crop_chunks, stage.batch)
        shape = (batch.latents.shape[0], batch.latents.shape[1])
        levels = torch.from_numpy(draw_levels(rng, shape, stage, self.config.ablation))
        counted = self._source.objective.counted(batch.trusted, levels > 0, batch.conditions)
        return _Part(rng, batch, levels, counted)

    def _total(self, part: _Part) -> Tensor:
        """The objective's sum over a part."""
        device = self._compute.device
        batch = part.batch.to(device)
        clean = normalised(self.model, batch.latents)
        forced = force(clean, draw_noise(part.rng, clean), part.levels.to(device))
        conditions = hide(batch.conditions, self.config.hiding, part.rng)
        with self._compute.arithmetic():
            predicted = self._forward(
                normalised(self.model, batch.reference),
                forced.noised,
                forced.levels,
                conditions,
                **sight_of(self.config.ablation),
            )
        deviations = predicted.float() - forced.velocity
        return self._source.objective.total(deviations, part.counted.to(device), forced.learned)

    def facts(self) -> dict[str, Any]:
        """Where the run stands, and enough to refuse another run's state."""
        return {
            "config": self.config.to_dict(),
            "geometry": self.model.geometry.to_dict(),
            "step": self.step,
            "trained_s": self.trained_s,
        }

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            **self.facts(),
            "model": self.model.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def resume(self, facts: dict[str, Any]) -> None:
        """Stand where `facts` say, also after a trip through JSON.

        Raises ValueError when they come from another kind of run.
        """
        own = self.facts()
        for name in ("config", "geometry"):
            if json.dumps(facts[name]) != json.dumps(own[name]):
                raise ValueError(
                    f"the checkpoint was made with another {name}; train into another folder, "
                    "or start again with --fresh"
                )
        self.step, self.trained_s = facts["step"], facts["trained_s"]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises ValueError when it comes from another kind of run."""
        self.resume(state)
        self.model.load_state_dict(state["model"])
        if self._ema is not None:
            self._ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])


def normalised(model: VideoTransformer, latents: Tensor) -> Tensor:
    """Latents (..., D) in units of the training set's mean and spread."""
    scaled: Tensor = (latents - model.latent_mean) / model.latent_std
    return scaled


def sight_of(ablation: Ablation) -> dict[str, bool]:
    """What an ablated model sees, as arguments of its forward pass."""
    return {
        "token_causal": ablation.token_causal,
        "use_reference": not ablation.no_reference,
    }


def _decayed(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Only matrices decay: gains, biases, nulls and embeddings of slots have no scale to bound."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
