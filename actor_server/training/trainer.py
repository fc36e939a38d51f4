"""The training loop's one step, and the state that a run resumes from."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.model.video_transformer import VideoTransformer
from actor_server.training.batches import BatchSource, hide
from actor_server.training.config import Ablation, Budget, Stage, TrainingConfig
from actor_server.training.ema import averaged
from actor_server.training.forcing import draw_levels, draw_noise, force
from actor_server.training.learning_rate import learning_rate
from actor_server.training.loss import latent_weights, velocity_loss


@dataclass(frozen=True)
class Compute:
    """Where and how precisely a run computes; bf16 keeps the weights and the loss in float32.

    compiled: fuse what lies between matrix products, after a minute or two of compiling.
    """

    device: torch.device
    bf16: bool = False
    compiled: bool = False

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Mixed precision, and on a CPU plain attention: the fused one's backward is slower."""
        kernels = [SDPBackend.MATH]
        if self.device.type != "cpu":
            kernels = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
            sdpa_kernel(kernels),
        ):
            yield


@dataclass(frozen=True)
class StepReport:
    """What one step did. `loss` and `gradient_norm` stay on the device until they are asked for."""

    stage: Stage
    rate: float
    loss: Tensor
    gradient_norm: Tensor


class Trainer:
    """Trains a VideoTransformer by chunk-wise diffusion forcing.

    No generator state is kept: every draw is named by (seed, step), so the step number resumes it.
    """

    def __init__(
        self,
        model: VideoTransformer,
        config: TrainingConfig,
        budget: Budget,
        source: BatchSource,
        compute: Compute,
    ) -> None:
        self.model = model.to(compute.device)
        self.config = config
        self.step = 0
        self.trained_s = 0.0
        self._budget = budget
        self._source = source
        self._compute = compute
        self._ema = averaged(self.model, config.ema_decay)
        self._optimiser = torch.optim.AdamW(
            _decayed(self.model, config.weight_decay), betas=config.betas, fused=True
        )
        self._weights = latent_weights().to(compute.device)
        self._forward = torch.compile(self.model, dynamic=False) if compute.compiled else self.model

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        return self._budget.progress(self.step, self.trained_s)

    @property
    def averaged_model(self) -> VideoTransformer:
        """The model with the averaged weights: what is measured and shipped."""
        module = self._ema.module
        assert isinstance(module, VideoTransformer)
        return module

    def advance(self) -> StepReport:
        """Train one step."""
        started = time.monotonic()
        stage, _ = self.config.stage_at(self.progress)
        rate = learning_rate(self.config, self.step, self.progress)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        loss = self._loss(stage)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self._optimiser.step()
        self._ema.update_parameters(self.model)
        self.step += 1
        self.trained_s += time.monotonic() - started
        return StepReport(stage, rate, loss.detach(), norm)

    def _loss(self, stage: Stage) -> Tensor:
        rng = self._source.dice(self.step)
        batch = self._source.draw(rng, self.step, stage.crop_chunks, stage.batch)
        batch = batch.to(self._compute.device)
        shape = (batch.latents.shape[0], batch.latents.shape[1])
        levels = torch.from_numpy(draw_levels(rng, shape, stage, self.config.ablation))
        clean = normalised(self.model, batch.latents)
        forced = force(clean, draw_noise(rng, clean), levels.to(clean.device))
        conditions = hide(batch.conditions, self.config.hiding, rng)
        with self._compute.arithmetic():
            predicted = self._forward(
                reference_of(self.model, len(clean)),
                forced.noised,
                forced.levels,
                conditions,
                **sight_of(self.config.ablation),
            )
        return velocity_loss(predicted, forced, batch.trusted, self._weights)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, and enough to refuse another run's state."""
        return {
            "config": self.config.to_dict(),
            "geometry": self.model.geometry.to_dict(),
            "model": self.model.state_dict(),
            "ema": self._ema.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "trained_s": self.trained_s,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises ValueError when it comes from another kind of run."""
        for name, own in (
            ("config", self.config.to_dict()),
            ("geometry", self.model.geometry.to_dict()),
        ):
            if state[name] != own:
                raise ValueError(
                    f"the checkpoint was made with another {name}; train into another folder, "
                    "or start again with --fresh"
                )
        self.model.load_state_dict(state["model"])
        self._ema.load_state_dict(state["ema"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.trained_s = state["step"], state["trained_s"]


def normalised(model: VideoTransformer, latents: Tensor) -> Tensor:
    """Latents (..., D) in units of the training set's mean and spread."""
    scaled: Tensor = (latents - model.latent_mean) / model.latent_std
    return scaled


def reference_of(model: VideoTransformer, rows: int) -> Tensor:
    """(B, R, D): latents are relative to the portrait, so the portrait is the same for all."""
    portrait = torch.from_numpy(portrait_latent()).to(model.latent_mean.device)
    tokens = model.geometry.reference_tokens
    return normalised(model, portrait).expand(rows, tokens, len(portrait))


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
