"""Mel to samples: every recorded number at its tolerance."""

import pytest
import torch

from actor_server.speech.harmonic_source import Draws, sine_waves
from tests.unit.actor_server.speech.golden import close, facts, numbers, tiny_vocoder

pytestmark = pytest.mark.unit

RECORDED = numbers("m4_hift_tiny")
TOLERANCES = facts("m4_hift_tiny")["tolerances"]
F0 = TOLERANCES["f0"]
SOURCE = TOLERANCES["source"]
WAVE = {"atol": TOLERANCES["wav"]["atol"]}
DRAWS = Draws(RECORDED["in.phase"], RECORDED["in.noise"])


def test_the_pitch_agrees_in_voiced_and_unvoiced_frames() -> None:
    f0_hz = tiny_vocoder().f0_predictor(RECORDED["in.mel"])
    close(f0_hz, RECORDED["out.f0"], **F0)
    assert f0_hz.min() < 10 < f0_hz.max()


def test_the_harmonics_agree() -> None:
    close(sine_waves(RECORDED["out.f0"], DRAWS), RECORDED["mid.sine_gen"], **SOURCE)


def test_the_generator_agrees_on_its_way() -> None:
    vocoder, seen = tiny_vocoder(), {}
    for name in ("conv_pre", "ups.0", "ups.1", "source_downs.0", "source_resblocks.0", "conv_post"):
        vocoder.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)})
        )
    vocoder(RECORDED["in.mel"], DRAWS)
    recorded = {
        "conv_pre": "conv_pre",
        "ups.0": "up0",
        "ups.1": "up1_before_reflect",
        "source_downs.0": "source_down0",
        "source_resblocks.0": "source_res0",
        "conv_post": "conv_post",
    }
    for name, key in recorded.items():
        close(seen[name][1], RECORDED[f"mid.{key}"], **WAVE)
    close(seen["source_downs.0"][0], RECORDED["mid.stft_source"], **WAVE)
    close(seen["ups.1"][0], RECORDED["mid.stage0_out_after_lrelu"], **WAVE)


def test_the_wave_agrees() -> None:
    wave, source = tiny_vocoder()(RECORDED["in.mel"], DRAWS)
    close(source, RECORDED["out.source"], **SOURCE)
    close(wave, RECORDED["out.wav"], **WAVE)


def test_the_wave_agrees_after_a_known_excitation() -> None:
    draws = Draws(RECORDED["in.phase2"], RECORDED["in.noise2"])
    wave, source = tiny_vocoder()(RECORDED["in.mel2"], draws, RECORDED["in.cache_source"])
    close(source, RECORDED["out.source2"], **SOURCE)
    close(wave, RECORDED["out.wav2"], **WAVE)


def test_loud_spectra_and_waves_are_clipped_alike() -> None:
    vocoder = tiny_vocoder()
    vocoder.conv_post.bias[:9] += 4
    wave, _ = vocoder(RECORDED["in.mel"], DRAWS)
    close(wave, RECORDED["out.wav_clamp_case"], **WAVE)
    assert wave.abs().max() == torch.tensor(0.99)
