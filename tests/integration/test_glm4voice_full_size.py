"""GLM-4-Voice's parts at their released sizes, with weights that a formula makes.

The formula is that of the recorded probes: a hash of the tensor's name and the flat index.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import GlmForCausalLM

from thinker_server.glm4voice.convert import native_config
from thinker_server.glm4voice.geometry import GlmGeometry
from thinker_server.glm4voice.hub_layout import hub_shapes, native_tensors
from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.geometry import SpeechGeometry
from thinker_server.glm4voice.speech.weights import manifest

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "glm4voice"
STRETCH = 1 << 22


def filled(name: str, shape: tuple[int, ...], unit_tables: list[str]) -> torch.Tensor:
    """The tensor of that name: pseudo-random, of a size that keeps activations in range."""
    count = int(np.prod(shape))
    values = np.empty(count, np.float32)
    if len(shape) >= 2:
        gain = 1.0 if name in unit_tables else 1 / np.sqrt(count / shape[0])
        offset = 0.0
    else:
        gain, offset = (0.1, 1.0) if name.endswith("weight") else (0.05, 0.0)
    for start in range(0, count, STRETCH):
        x = np.arange(start, min(start + STRETCH, count), dtype=np.uint32) + np.uint32(
            crc32(name.encode())
        )
        x ^= x >> 16
        x *= np.uint32(0x7FEB352D)
        x ^= x >> 15
        x *= np.uint32(0x846CA68B)
        x ^= x >> 16
        unit = (x / 2**32 * 2 - 1) * np.sqrt(3)
        values[start : start + len(x)] = offset + gain * unit
    return torch.from_numpy(values).view(shape)


def assert_spots(
    facts: Mapping[str, dict[str, list[float]]], name: str, made: torch.Tensor
) -> None:
    """The formula is understood: sample values are the recorded ones."""
    if name in facts:
        np.testing.assert_allclose(made.flatten()[:3], facts[name]["first3"], rtol=1e-5)
        np.testing.assert_allclose(made.flatten()[-1], facts[name]["last"], rtol=1e-5)


@torch.inference_mode()
def test_one_layer_of_the_9b_model_gives_the_recorded_states_and_logits() -> None:
    facts = json.loads((GOLDEN / "probe_full_chatglm_1layer.json").read_text())
    recorded = load_file(GOLDEN / "probe_full_chatglm_1layer.safetensors")
    geometry = GlmGeometry.from_hub(facts["config"])
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in hub_shapes(geometry).items():
        made = filled(name, shape, facts["unit_tables"])
        assert_spots(facts["spot"], name, made)
        tensors |= dict(native_tensors(name, made, geometry))
    with torch.device("meta"):
        model = GlmForCausalLM(native_config(geometry, torch.float32))
    model.load_state_dict(tensors, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)  # computed, not loaded
    output = model(recorded["in.input_ids"], output_hidden_states=True)
    close = {"atol": facts["tolerances"]["atol"], "rtol": facts["tolerances"]["rtol"]}
    np.testing.assert_allclose(output.hidden_states[-1], recorded["out.last_hidden"], **close)
    np.testing.assert_allclose(output.logits, recorded["out.logits"], **close)


@torch.inference_mode()
def test_the_speech_tokenizer_gives_the_recorded_states_and_codes() -> None:
    facts = json.loads((GOLDEN / "probe_full_speech_tokenizer.json").read_text())
    recorded = load_file(GOLDEN / "probe_full_speech_tokenizer.safetensors")
    geometry = SpeechGeometry.from_hub(facts["config"])
    tensors = {}
    for name, shape in manifest(geometry).items():
        tensors[name] = filled(name, shape, facts["unit_tables"])
        assert_spots(facts["spot"], name, tensors[name])
    with torch.device("meta"):
        encoder = SpeechEncoder(geometry)
    encoder.load_state_dict(tensors, assign=True)
    valid = recorded["in.frame_mask"][:, ::2].bool()
    pooled = encoder(recorded["in.X"], valid)
    close = facts["tolerances"]["pre_quant"]
    np.testing.assert_allclose(pooled, recorded["out.pre_quant"], **close)
    kept = valid[:, ::4]
    codes = encoder.nearest_codes(pooled)
    assert torch.equal(codes[kept], recorded["out.tokens"][kept])
