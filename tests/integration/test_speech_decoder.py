"""The speech decoder at its released size, with weights that a formula makes, and for long."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from actor_server.speech.assembly import SpeechAssembly
from actor_server.speech.chance import FixedChance
from actor_server.speech.checkpoint import load_speech_models, stored_name
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import FlowGeometry, VocoderGeometry
from actor_server.speech.harmonic_source import Draws
from actor_server.speech.mel_clock import HOP_SAMPLES, TOKEN_SAMPLES
from actor_server.speech.tiny import write_tiny
from actor_server.speech.vocoder import Vocoder
from tests.unit.actor_server.speech.golden import close, facts, numbers

pytestmark = pytest.mark.integration

TEN_MINUTES_TOKENS = 7500
BLOCK_TOKENS = 50
"""Larger than in calls, so that ten minutes take half a minute."""


def scrambled(name: str, count: int) -> np.ndarray:
    """Numbers of unit variance that follow from a tensor's name alone."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    x ^= x >> 16
    x *= np.uint32(0x7FEB352D)
    x ^= x >> 15
    x *= np.uint32(0x846CA68B)
    x ^= x >> 16
    unit: np.ndarray = (x / 2**32 * 2 - 1) * np.sqrt(3)
    return unit


def filled(name: str, shape: torch.Size, unit_tables: list[str]) -> Tensor:
    """A tensor of the recorded probes; `weight_g` is made from its `weight_v`."""
    r = scrambled(name, shape.numel())
    if len(shape) == 1:
        values = 1 + 0.1 * r if name.endswith(("weight", "alpha")) else 0.05 * r
    elif name in unit_tables:
        values = r
    else:
        values = r / np.sqrt(shape.numel() / shape[0])
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(model: nn.Module, probe: dict[str, Any]) -> None:
    """Give a model the weights of a probe, and check a few of them against the recording."""
    tensors: dict[str, Tensor] = {}
    shapes = {stored_name(name): like.shape for name, like in model.state_dict().items()}
    for name, shape in shapes.items():
        if not name.endswith("weight_g"):
            tensors[name] = filled(name, shape, probe["unit_tables"])
    for name in shapes.keys() - tensors.keys():
        direction = tensors[name.removesuffix("g") + "v"]
        tensors[name] = direction.flatten(1).norm(dim=1)[:, None, None]
    for name, spot in probe["spot"].items():
        recorded = [*spot["first3"], spot["last"]]
        found = tensors[name].flatten()[[0, 1, 2, -1]]
        close(found, torch.tensor(recorded), atol=1e-6)
    for name, override in probe["overrides"].items():
        if "value" in override:
            tensors[name].fill_(override["value"])
        tensors[name] *= override.get("scale", 1.0)
    model.load_state_dict(tensors)


@torch.inference_mode()
def test_the_flow_of_released_size_agrees() -> None:
    recorded, probe = numbers("probe_full_flow"), facts("probe_full_flow")
    flow = FlowDecoder(FlowGeometry()).eval()
    fill(flow, probe)
    tokens = recorded["in.tokens"].long()
    close(flow.mean_mel(tokens, 82), recorded["mid.mu"], **probe["tolerances"]["mu"])
    mel = flow(tokens, torch.zeros(1, 80, 0), recorded["in.noise"])
    close(mel, recorded["out.mel"], **probe["tolerances"]["mel"])


@torch.inference_mode()
def test_the_vocoder_of_released_size_agrees() -> None:
    recorded, probe = numbers("probe_full_hift"), facts("probe_full_hift")
    vocoder = Vocoder(VocoderGeometry()).eval()
    fill(vocoder, probe)
    vocoder.fold_weight_norm()
    spectra: list[Tensor] = []
    vocoder.conv_post.register_forward_hook(lambda _, _inputs, output: spectra.append(output))
    wave, source = vocoder(recorded["in.mel"], Draws(recorded["in.phase"], recorded["in.noise"]))
    tolerances = probe["tolerances"]
    close(vocoder.f0_predictor(recorded["in.mel"]), recorded["out.f0"], **tolerances["f0"])
    close(source, recorded["out.source"], atol=1e-4)
    close(spectra[0], recorded["mid.conv_post"], **tolerances["conv_post"])
    close(wave, recorded["out.wav"], **tolerances["wav"])


@torch.inference_mode()
def test_a_tiny_decoder_speaks_for_ten_minutes_without_drifting(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    speech = SpeechAssembly(*load_speech_models(tmp_path), FixedChance())
    dice, given, late = np.random.default_rng(0), 0, set()
    for _ in range(TEN_MINUTES_TOKENS // BLOCK_TOKENS):
        samples = speech.extend(dice.integers(0, 16_384, BLOCK_TOKENS).tolist())
        assert samples.isfinite().all()
        given += len(samples)
        late.add(speech.tokens * TOKEN_SAMPLES - given)
    assert max(late) - min(late) < HOP_SAMPLES
    given += len(speech.finish([]))
    assert 0 <= TEN_MINUTES_TOKENS * TOKEN_SAMPLES - given < HOP_SAMPLES
