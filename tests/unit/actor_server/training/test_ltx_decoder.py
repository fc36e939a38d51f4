"""Tuning the decoder: it learns, the encoder does not, and a run goes on where it stopped."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from actor_server.codec.ltx.checkpoint import load_autoencoder, save_autoencoder
from actor_server.codec.ltx.codec import LtxCodec
from actor_server.codec.ltx.latents import pixels_of
from actor_server.training import ltx_decoder
from actor_server.training.config import Budget
from actor_server.training.journal import FIGURES_NAME
from actor_server.training.ltx_decoder import (
    DecoderTuner,
    TuningConfig,
    TuningRun,
    reconstruction_losses,
    tune,
)
from actor_server.training.tensor_checkpoint import CHECKPOINT_NAME, read_tensors
from actor_server.training.trainer import Compute
from actor_server.training.video_clips import VideoFolder, pictures_of
from tests.unit.actor_server.ltx.autoencoders import autoencoder_like, whole_decode
from tests.unit.actor_server.training.clips import write_clip

pytestmark = pytest.mark.unit

CPU = Compute(torch.device("cpu"))
QUICK = TuningConfig(chunks=1, history=2, size=64, peak_rate=3e-3, warmup_steps=1, ema_decay=0.9)

CONSTANT = ("decoder.timestep_scale_multiplier",)


@pytest.fixture
def run(tmp_path: Path) -> TuningRun:
    """One step, from a released decoder and one clip."""
    save_autoencoder(tmp_path / "released", autoencoder_like("0.9.5"))
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "a.mp4", 30)
    out, videos = tmp_path / "run", tmp_path / "videos"
    return TuningRun(tmp_path / "released", videos, out, QUICK, Budget(steps=1), CPU)


def tuner_of(run: TuningRun) -> DecoderTuner:
    videos = VideoFolder(run.videos, run.config.clip_frames, run.config.size)
    return DecoderTuner(load_autoencoder(run.vae), run.config, videos, run.compute)


def clip_of(run: TuningRun) -> Tensor:
    (path,) = run.videos.iterdir()
    pictures = np.stack(list(pictures_of(path))[: run.config.clip_frames])
    return pixels_of(pictures[:, :, 8:72], like=torch.zeros(1))


def test_only_the_decoder_changes_and_the_codec_takes_it_as_causal(run: TuningRun) -> None:
    tune(run)
    released = load_autoencoder(run.vae).state_dict()
    tuned = load_autoencoder(run.out / "vae")
    for name, tensor in tuned.state_dict().items():
        learns = name.startswith("decoder.") and name not in CONSTANT
        assert torch.equal(tensor, released[name]) is not learns, name
    assert LtxCodec(tuned, 64, 64).own_strategy == "causal"


def test_the_command_line_tunes_what_it_is_told(
    run: TuningRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = ["--vae", str(run.vae), "--videos", str(run.videos), "--out", str(run.out)]
    sizes = ["--chunks", "1", "--history", "0", "--steps", "1", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["x", *folders, *sizes, "--motion", "0.5"])
    ltx_decoder.main()
    assert load_autoencoder(run.out / "vae").config.decoder_causal
    _, facts = read_tensors(run.out) or ({}, {})
    assert json.loads(facts["config"])["motion"] == 0.5
    (figures,) = (run.out / FIGURES_NAME).read_text().splitlines()
    assert json.loads(figures)["pixels"] > 0


@pytest.mark.parametrize("history", [0, 2])
def test_what_is_learned_from_is_the_causal_decode_behind_its_history(
    run: TuningRun, history: int
) -> None:
    pixels = clip_of(run)
    causal = autoencoder_like("0.9.5", causal=True)
    latents = causal.encode(pixels).latent_dist.mode()
    frames = slice(1 + 8 * history, 9 + 8 * history)
    expected = (whole_decode(causal, latents) - pixels)[:, :, frames].abs().mean()
    losses = tuner_of(run).losses(pixels, history)
    torch.testing.assert_close(losses["pixels"].detach(), expected)


def test_steps_bring_the_pictures_nearer(run: TuningRun) -> None:
    tuner, pixels = tuner_of(run), clip_of(run)
    before = float(tuner.losses(pixels, 1)["loss"].detach())
    for _ in range(25):
        tuner.advance(0.0)
    assert float(tuner.losses(pixels, 1)["loss"].detach()) < 0.8 * before


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(run: TuningRun) -> None:
    constant = replace(run.config, final_rate=run.config.peak_rate)  # whatever the budget is
    once = replace(run, config=constant)
    tune(once)
    resumed = tune(replace(once, budget=Budget(steps=2)))
    straight = tune(replace(once, budget=Budget(steps=2), out=run.out / "straight"))
    assert resumed.step == straight.step == 2
    for name, tensor in straight.averaged_decoder.state_dict().items():
        assert torch.equal(tensor, resumed.averaged_decoder.state_dict()[name])


def test_another_runs_checkpoint_is_refused_and_can_be_forgotten(run: TuningRun) -> None:
    tune(run)
    other = replace(run, config=replace(run.config, edges=0.5))
    with pytest.raises(ValueError, match="another configuration"):
        tune(other)
    assert tune(replace(other, fresh=True)).step == 1
    file = run.out / CHECKPOINT_NAME
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is damaged, start again with --fresh"):
        tune(other)


def test_mixed_precision_learns_too(run: TuningRun) -> None:
    tuner = tuner_of(replace(run, compute=Compute(torch.device("cpu"), bf16=True)))
    before = {name: part.clone() for name, part in tuner.averaged_decoder.named_parameters()}
    tuner.advance(0.0)
    after = dict(tuner.averaged_decoder.named_parameters())
    same = {name for name, part in before.items() if torch.equal(part, after[name])}
    assert same == {"timestep_scale_multiplier"}


def test_each_loss_measures_its_own_difference() -> None:
    wanted = torch.zeros(1, 3, 4, 8, 8)
    brighter = reconstruction_losses(wanted + 0.5, wanted, QUICK)
    assert {name: float(value) for name, value in brighter.items()} == {
        "loss": 0.5,
        "pixels": 0.5,
        "edges": 0.0,
        "motion": 0.0,
    }
    flicker = wanted.clone()
    flicker[:, :, 1::2] = 1.0
    losses = reconstruction_losses(flicker, wanted, QUICK)
    assert float(losses["motion"]) == 1.0
    assert float(losses["edges"]) == 0.0
    assert float(losses["loss"]) == pytest.approx(0.5 + QUICK.motion)
