"""The speech tokenizer against its recorded numbers: features, states, codes."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.thinker_server.glm4voice.fixtures import GOLDEN, tiny_speech_encoder
from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.geometry import SpeechGeometry
from thinker_server.glm4voice.speech.log_mel import log_power, mel_filters, normalised
from thinker_server.glm4voice.speech.weights import UNUSED, manifest

pytestmark = pytest.mark.unit

RECORDED = load_file(GOLDEN / "m2_speech_tokenizer_tiny.safetensors")
ENCODER = tiny_speech_encoder()


def padded_waves() -> torch.Tensor:
    """The two recorded waves as one batch, padded to a whole number of tokens."""
    waves = [RECORDED["in.wave0"], RECORDED["in.wave1"]]
    return torch.stack([torch.cat([wave, torch.zeros(21_760 - len(wave))]) for wave in waves])


def all_valid(mel: torch.Tensor) -> torch.Tensor:
    return torch.ones(mel.shape[0], mel.shape[2] // 2, dtype=torch.bool)


def assert_states(actual: torch.Tensor, name: str) -> None:
    torch.testing.assert_close(actual, RECORDED[name], atol=5e-5, rtol=1e-4)


def test_the_mel_filters_are_the_recorded_ones() -> None:
    torch.testing.assert_close(mel_filters(), RECORDED["mid.mel_filters"], atol=1e-6, rtol=1e-4)


def test_features_of_speech_are_the_recorded_ones() -> None:
    for wave, expected in zip(padded_waves(), RECORDED["mid.log_mel"], strict=True):
        log_mel = log_power(wave, 0, 136)
        actual = normalised(log_mel, log_mel.max())
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def test_features_of_a_stretch_are_those_of_the_whole() -> None:
    wave = padded_waves()[0]
    whole = log_power(wave, 0, 136)
    for first, last in ((0, 1), (0, 40), (40, 96), (96, 136), (135, 136)):
        torch.testing.assert_close(log_power(wave, first, last), whole[:, first:last])


@torch.inference_mode()
def test_states_and_codes_of_a_padded_batch_are_the_recorded_ones() -> None:
    valid = RECORDED["mid.feature_mask"][:, ::2].bool()
    pooled = ENCODER(RECORDED["mid.log_mel"], valid)
    assert_states(pooled, "out.pre_quant")
    assert torch.equal(ENCODER.nearest_codes(pooled), RECORDED["out.token_ids"])


@torch.inference_mode()
@pytest.mark.parametrize(
    ("given", "frames", "states", "codes"),
    [
        ("in.X", 96, "out.X_pre_quant", "out.X_tokens"),
        ("in.X_perturbed", 96, "out.Xp_pre_quant", "out.Xp_tokens"),
        ("in.X", 40, "out.prefix40_pre_quant", "out.prefix40_tokens"),
        ("in.X", 64, "out.prefix64_pre_quant", "out.prefix64_tokens"),
    ],
)
def test_states_and_codes_of_features_are_the_recorded_ones(
    given: str, frames: int, states: str, codes: str
) -> None:
    mel = RECORDED[given][:, :, :frames]
    pooled = ENCODER(mel, all_valid(mel))
    assert_states(pooled, states)
    assert torch.equal(ENCODER.nearest_codes(pooled), RECORDED[codes])


@torch.inference_mode()
def test_a_change_in_the_second_block_leaves_the_first_as_it_is() -> None:
    mel, changed = RECORDED["in.X"], RECORDED["in.X_perturbed"]
    states, other = ENCODER(mel, all_valid(mel)), ENCODER(changed, all_valid(changed))
    assert torch.equal(states[:, :4], other[:, :4])
    assert not torch.allclose(states[:, 4:8], other[:, 4:8])


def test_the_manifest_of_the_released_tokenizer_is_what_the_encoder_needs() -> None:
    released = json.loads((GOLDEN / "m2_speech_tokenizer_manifest.json").read_text())
    listed = {name: tuple(entry["shape"]) for name, entry in released["keys"].items()}
    geometry = SpeechGeometry.from_hub(released["config"])
    assert {name: shape for name, shape in listed.items() if name not in UNUSED} == manifest(
        geometry
    )
    assert (geometry.block_frames, geometry.segment_samples) == (400, 480_000)


def test_the_encoder_is_loaded_in_float32_and_frozen() -> None:
    assert isinstance(ENCODER, SpeechEncoder)
    parameters = list(ENCODER.parameters())
    assert {p.dtype for p in parameters} == {torch.float32}
    assert not any(p.requires_grad for p in parameters)
