"""The hub's ChatGLM becomes transformers' GlmForCausalLM without changing a number it gives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache, GlmForCausalLM
from transformers.cache_utils import DynamicLayer

from tests.unit.thinker_server.glm4voice.fixtures import (
    CHATGLM_TINY,
    GOLDEN,
    weights,
    write_hub_model,
)
from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.convert import convert_language_model
from thinker_server.glm4voice.geometry import GlmGeometry
from thinker_server.glm4voice.hub_layout import IGNORED, hub_shapes

pytestmark = pytest.mark.unit

ATOL, RTOL = 2e-5, 1e-4
SMALL_SHARD_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("glm")
    source = write_hub_model(root / "hub", weights(CHATGLM_TINY))
    convert_language_model(source, root / "native", SMALL_SHARD_BYTES)
    return root / "native"


@pytest.fixture(scope="module")
def model(converted: Path) -> GlmForCausalLM:
    loaded: GlmForCausalLM = GlmForCausalLM.from_pretrained(
        converted, dtype=torch.float32, attn_implementation="eager"
    )
    return loaded


def assert_recorded(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=ATOL, rtol=RTOL)


def golden(name: str) -> torch.Tensor:
    return CHATGLM_TINY[name]


@torch.inference_mode()
def test_prompt_logits_and_states_are_the_recorded_ones(model: GlmForCausalLM) -> None:
    output = model(golden("in.input_ids"), output_hidden_states=True)
    assert_recorded(output.logits, golden("out.prefill_logits"))
    assert_recorded(output.hidden_states[-1], golden("out.prefill_last_hidden"))
    for layer in range(3):
        assert_recorded(
            output.hidden_states[layer],
            golden("mid.hidden_states")[layer],
        )


@torch.inference_mode()
def test_the_cache_holds_the_recorded_keys_and_values(model: GlmForCausalLM) -> None:
    cache = DynamicCache(config=model.config)
    model(golden("in.input_ids"), past_key_values=cache)
    layer = cache.layers[0]
    assert isinstance(layer, DynamicLayer)
    assert layer.keys is not None
    assert layer.values is not None
    assert_recorded(layer.keys, golden("mid.layer0_k"))
    assert_recorded(layer.values, golden("mid.layer0_v"))


@torch.inference_mode()
def test_one_token_at_a_time_gives_the_recorded_steps(model: GlmForCausalLM) -> None:
    cache = DynamicCache(config=model.config)
    model(golden("in.input_ids"), past_key_values=cache)
    for step, ids in enumerate(golden("in.step_ids").T):
        output = model(ids[:, None], past_key_values=cache, output_hidden_states=True)
        logits, state = output.logits[:, 0], output.hidden_states[-1][:, 0]
        assert_recorded(logits, golden("out.step_logits")[:, step])
        assert_recorded(state, golden("out.step_last_hidden")[:, step])


@torch.inference_mode()
def test_another_rotary_base_would_be_noticed(model: GlmForCausalLM) -> None:
    state = model.model(golden("in.input_ids")).last_hidden_state
    wrong = golden("out.wrong_rope_ratio500_last_hidden")
    assert (state - wrong).abs().max() > 100 * ATOL


def test_shards_are_no_larger_than_asked(converted: Path) -> None:
    shards = sorted(converted.glob("*.safetensors"))
    assert len(shards) > 3
    assert all(shard.stat().st_size < 2 * SMALL_SHARD_BYTES for shard in shards)


def test_the_manifest_of_the_released_model_is_what_the_geometry_says() -> None:
    manifest = json.loads((GOLDEN / "m1_chatglm_9b_manifest.json").read_text())
    listed = {name: tuple(entry["shape"]) for name, entry in manifest["keys"].items()}
    expected = hub_shapes(GlmGeometry.from_hub(manifest["config"]))
    assert {name: shape for name, shape in listed.items() if name not in IGNORED} == expected


Tensors = dict[str, torch.Tensor]
HEAD = "transformer.output_layer.weight"
FLAWS: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "a tensor is missing": (lambda t: t.pop(HEAD), f"missing: {HEAD}"),
    "a tensor is unknown": (lambda t: t.update({"lora.a": torch.ones(2)}), r"unknown: lora\.a"),
    "a shape is wrong": (
        lambda t: t.update({HEAD: torch.ones(320, 63)}),
        r"output_layer\.weight is \[320, 63\], must be \[320, 64\]",
    ),
}


@pytest.mark.parametrize(("spoil", "reason"), FLAWS.values(), ids=FLAWS.keys())
def test_files_that_do_not_fit_are_named_and_nothing_is_written(
    tmp_path: Path, spoil: Callable[[Tensors], object], reason: str
) -> None:
    tensors = weights(CHATGLM_TINY)
    spoil(tensors)
    source = write_hub_model(tmp_path / "hub", tensors)
    with pytest.raises(WeightsUnusable, match=reason):
        convert_language_model(source, tmp_path / "native")
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_partial_download_is_named(tmp_path: Path) -> None:
    source = write_hub_model(tmp_path / "hub", weights(CHATGLM_TINY))
    shard = source / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(WeightsUnusable, match=f"{shard.name} is damaged or incomplete"):
        convert_language_model(source, tmp_path / "native")
    shard.unlink()
    with pytest.raises(WeightsUnusable, match=f"lacks {shard.name}"):
        convert_language_model(source, tmp_path / "native")


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    source = write_hub_model(tmp_path / "hub", weights(CHATGLM_TINY))
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"rmsnorm": False}))
    with pytest.raises(WeightsUnusable, match="rmsnorm"):
        convert_language_model(source, tmp_path / "native")
    del config["num_layers"]
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsUnusable, match="num_layers"):
        convert_language_model(source, tmp_path / "native")


def test_what_is_there_already_is_not_overwritten(converted: Path, tmp_path: Path) -> None:
    source = write_hub_model(tmp_path / "hub", weights(CHATGLM_TINY))
    with pytest.raises(WeightsUnusable, match="delete it to convert again"):
        convert_language_model(source, converted)
    assert (converted / "config.json").is_file()
