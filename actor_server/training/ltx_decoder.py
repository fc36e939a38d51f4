"""Tune LTX-Video's decoder to see the past only, so that live calls need not wait for the future.

    python -m actor_server.training.ltx_decoder --vae DIR --videos DIR --out DIR --minutes 600

The encoder stays as it is, and with it the latents that the Actor makes. A step decodes some
chunks of a clip behind a random number of earlier ones, whose memory it keeps but learns nothing
from: so the decoder meets the beginning of a call as well as what comes late. A run that was
stopped goes on where its last checkpoint left off. `OUT/vae` is what the codec reads.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    AutoencoderKLLTXVideo,
    LTXVideoDecoder3d,
)
from torch import Tensor, nn

from actor_server.codec.ltx.causal import Memory, PastOnly
from actor_server.codec.ltx.checkpoint import load_autoencoder, save_autoencoder
from actor_server.codec.ltx.latents import pixels_of
from actor_server.codec.ltx.layers import walk
from actor_server.training.config import Budget
from actor_server.training.ema import averaged
from actor_server.training.journal import Journal
from actor_server.training.tensor_checkpoint import read_tensors, write_tensors
from actor_server.training.train import REPORT_S, add_compute_options, compute_of
from actor_server.training.trainer import Compute
from actor_server.training.video_clips import VideoFolder
from proto.time_law import CHUNK_FRAMES, FRAME_WIDTH

AUTOENCODER_NAME: Final = "vae"
SAVE_MINUTES: Final = 10.0


@dataclass(frozen=True)
class TuningConfig:
    """chunks: that are learned from in a step; history: at most so many before them.

    edges, motion: weights of the L1 distance between neighbouring pixels' and between successive
    frames' differences, beside that of the pixels themselves; 0 leaves them out.
    """

    chunks: int = 2
    history: int = 12
    batch: int = 1
    size: int = FRAME_WIDTH
    peak_rate: float = 1e-4
    final_rate: float = 1e-6
    warmup_steps: int = 200
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    edges: float = 0.1
    motion: float = 0.1
    seed: int = 1

    @property
    def clip_frames(self) -> int:
        """Of a cut: one for the reference, then whole chunks."""
        return 1 + CHUNK_FRAMES * (self.history + self.chunks)


class DecoderTuner:
    """Trains the decoder of an autoencoder; every draw is named by (seed, step)."""

    def __init__(
        self,
        autoencoder: AutoencoderKLLTXVideo,
        config: TuningConfig,
        videos: VideoFolder,
        compute: Compute,
    ) -> None:
        self.config, self.step, self.trained_s = config, 0, 0.0
        self.autoencoder = autoencoder.to(compute.device).eval().requires_grad_(False)
        autoencoder.register_to_config(decoder_causal=True)
        self._decoder: LTXVideoDecoder3d = autoencoder.decoder.train().requires_grad_(True)
        self._videos, self._compute = videos, compute
        self._ema = averaged(self._decoder, config.ema_decay)
        self._optimiser = torch.optim.AdamW(
            self._decoder.parameters(),
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )

    @property
    def averaged_decoder(self) -> nn.Module:
        """What is shipped."""
        return self._ema.module

    def advance(self, progress: float) -> dict[str, Tensor]:
        """Train one step at `progress` (0..1) of the budget; the losses, still on the device."""
        started = time.monotonic()
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate(progress)
        rng = np.random.default_rng([self.config.seed, self.step])
        cuts = [self._videos.cut(rng) for _ in range(self.config.batch)]
        weight = self._decoder.conv_in.conv.weight
        pixels = torch.cat([pixels_of(cut, like=weight) for cut in cuts])
        losses = self.losses(pixels, history=int(rng.integers(self.config.history + 1)))
        self._optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._decoder.parameters(), self.config.clip_norm)
        self._optimiser.step()
        self._ema.update_parameters(self._decoder)
        self.step += 1
        self.trained_s += time.monotonic() - started
        return {name: loss.detach() for name, loss in losses.items()}

    def losses(self, pixels: Tensor, history: int) -> dict[str, Tensor]:
        """Of the chunks behind `history` others, of clips (B, 3, F, S, S)."""
        first = 1 + history
        with self._compute.arithmetic():
            with torch.no_grad():
                latents = self.autoencoder.encode(pixels).latent_dist.mode()
                memory = self._memory_of(latents[:, :, :first])
            learned = latents[:, :, first : first + self.config.chunks]
            made = walk(self._decoder, learned, PastOnly(memory))
        begin = 1 + CHUNK_FRAMES * history
        wanted = pixels[:, :, begin : begin + made.shape[2]]
        return reconstruction_losses(made.float(), wanted.float(), self.config)

    def _memory_of(self, latents: Tensor) -> Memory:
        """What the convolutions remember of these latents, the reference first."""
        beginning = PastOnly(None)
        walk(self._decoder, latents, beginning)
        return beginning.memory

    def _rate(self, progress: float) -> float:
        config = self.config
        falling = (1 + cos(pi * min(progress, 1.0))) / 2
        rate = config.final_rate + (config.peak_rate - config.final_rate) * falling
        return rate * min(1.0, (self.step + 1) / max(1, config.warmup_steps))

    def save(self, folder: Path) -> None:
        """Write the checkpoint, and the autoencoder with the averaged decoder."""
        optimiser = self._optimiser.state_dict()["state"]
        tables: dict[str, dict[str, Tensor]] = {
            "decoder": self._decoder.state_dict(),
            "averaged": self._ema.state_dict(),
            "optimiser": {
                f"{number}/{name}": part
                for number, parts in optimiser.items()
                for name, part in parts.items()
            },
        }
        facts = {
            "config": json.dumps(asdict(self.config)),
            "step": str(self.step),
            "trained_s": str(self.trained_s),
        }
        write_tensors(folder, tables, facts)
        save_autoencoder(folder / AUTOENCODER_NAME, self.autoencoder, self.averaged_decoder)

    def restore(self, folder: Path) -> bool:
        """Go on from the folder's checkpoint, if there is one. Raises ValueError for another's."""
        found = read_tensors(folder)
        if found is None:
            return False
        tables, facts = found
        if json.loads(facts["config"]) != asdict(self.config):
            raise ValueError(
                f"the checkpoint in {folder} was made with another configuration; train into "
                "another folder, or start again with --fresh"
            )
        self._decoder.load_state_dict(tables["decoder"])
        self._ema.load_state_dict(tables["averaged"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, part in tables["optimiser"].items():
            number, kind = name.split("/")
            state.setdefault(int(number), {})[kind] = part
        groups: Any = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.trained_s = int(facts["step"]), float(facts["trained_s"])
        return True


def reconstruction_losses(made: Tensor, wanted: Tensor, config: TuningConfig) -> dict[str, Tensor]:
    """L1 of pixels, of their differences in space and in time, and what is learned from."""
    error = made - wanted  # (B, 3, F, S, S); a difference of errors is an error of differences
    losses = {
        "pixels": error.abs().mean(),
        "edges": error.diff(dim=3).abs().mean() + error.diff(dim=4).abs().mean(),
        "motion": error.diff(dim=2).abs().mean(),
    }
    weighted = config.edges * losses["edges"] + config.motion * losses["motion"]
    return {"loss": losses["pixels"] + weighted, **losses}


@dataclass(frozen=True)
class TuningRun:
    """What to tune, on what, how long and where to."""

    vae: Path
    videos: Path
    out: Path
    config: TuningConfig
    budget: Budget
    compute: Compute
    fresh: bool = False


def tune(run: TuningRun) -> DecoderTuner:
    """Train until the budget is spent. Raises LtxWeightsUnusable or ValueError for bad input."""
    run.out.mkdir(parents=True, exist_ok=True)
    videos = VideoFolder(run.videos, run.config.clip_frames, run.config.size)
    tuner = DecoderTuner(load_autoencoder(run.vae), run.config, videos, run.compute)
    if not run.fresh:
        tuner.restore(run.out)
    with Journal(run.out, tensorboard=False) as journal:
        reported = saved = time.monotonic()
        while (progress := run.budget.progress(tuner.step, tuner.trained_s)) < 1:
            losses = tuner.advance(progress)
            now = time.monotonic()
            if now - reported > REPORT_S or tuner.step == 1:
                reported = now
                figures = {name: float(loss) for name, loss in losses.items()}
                journal.show(progress, f"tuning {tuner.step}: {figures['loss']:.4f}")
                journal.record(tuner.step, figures | {"trained_s": tuner.trained_s})
            if now - saved > 60 * SAVE_MINUTES:
                tuner.save(run.out)
                saved = now
        tuner.save(run.out)
        journal.show(1.0, f"done after {tuner.step} steps")
    return tuner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--vae", type=Path, required=True, help="`vae` folder of a release")
    parser.add_argument("--videos", type=Path, required=True, help="folder of curated clips")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    add_compute_options(parser)
    for name, meaning in (
        ("batch", "clips in a step"),
        ("chunks", "chunks learned from in a step"),
        ("history", "most chunks before them"),
        ("seed", "of every draw"),
    ):
        default = getattr(TuningConfig, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    parser.add_argument("--peak-rate", type=float, default=TuningConfig.peak_rate)
    parser.add_argument("--edges", type=float, default=TuningConfig.edges, help="weight, or 0")
    parser.add_argument("--motion", type=float, default=TuningConfig.motion, help="weight, or 0")
    parser.add_argument("--fresh", action="store_true", help="forget the folder's checkpoint")
    options = parser.parse_args()
    names = ("batch", "chunks", "history", "seed", "peak_rate", "edges", "motion")
    config = replace(TuningConfig(), **{name: getattr(options, name) for name in names})
    tune(
        TuningRun(
            options.vae,
            options.videos,
            options.out,
            config,
            Budget(options.minutes, options.steps),
            compute_of(options),
            options.fresh,
        )
    )


if __name__ == "__main__":
    main()
