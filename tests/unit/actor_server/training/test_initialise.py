"""An Actor that begins with a language model's layers is that model until it learns to see."""

import json
import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import GlmConfig, GlmForCausalLM

from actor_server.errors import LanguageModelUnusable
from actor_server.model import layers
from actor_server.model.geometry import PAPER_9B, ActorGeometry
from actor_server.model.layers import CrossView, KeyValues, SelfView, additive
from actor_server.model.rotary import Rotation, rotation_in_time
from actor_server.model.video_transformer import VideoTransformer
from actor_server.tensor_files import TensorFiles
from actor_server.training import initialise as command
from actor_server.training.initialise import PAPER_SAMPLER, geometry_like, initialise
from actor_server.weights import load_actor
from tests.unit.actor_server.tiny_actor import random_conditions, random_latents
from tests.unit.thinker_server.glm4voice.fixtures import (
    CHATGLM_TINY,
    GOLDEN,
    weights,
    write_hub_model,
)
from thinker_server.glm4voice.convert import convert_language_model, native_config
from thinker_server.glm4voice.geometry import GlmGeometry

pytestmark = pytest.mark.unit
log = logging.getLogger(__name__)

CONFIG = GlmConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    rms_norm_eps=3.90625e-8,
    pad_token_id=0,
    attn_implementation="sdpa",
)
IDS = torch.arange(24)[None] * 7 % CONFIG.vocab_size
FLOAT32_ROUNDING = 5e-6
"""GLM's own two ways of attention differ by 2e-6 here."""
LAST_BITS = 1e-6
"""Zero, unless a machine's attention adds in another order with a mask than without."""
RECORDED = 2e-5
"""What GLM-4-Voice's own code and transformers' differ by."""


@pytest.fixture(scope="module")
def language() -> GlmForCausalLM:
    torch.manual_seed(3)
    model = GlmForCausalLM(CONFIG).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter.shape[-1] ** -0.5)
        else:
            parameter += 0.2 * torch.randn(parameter.shape)  # norms near one, biases near zero
    return model


@pytest.fixture(scope="module")
def folder(language: GlmForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As transformers itself writes it, in several shards."""
    folder = tmp_path_factory.mktemp("language") / "glm"
    language.save_pretrained(folder, max_shard_size="20KB")
    assert len(TensorFiles(folder).files) > 2
    return folder


@pytest.fixture(scope="module")
def begun(folder: Path) -> Path:
    initialise(folder, folder.parent / "actor", shard_bytes=20_000)
    return folder.parent / "actor"


def read_as_text(
    model: VideoTransformer,
    words: torch.Tensor,
    cross: CrossView | None = None,
    rotation: Rotation | None = None,
) -> torch.Tensor:
    """Hidden states of word embeddings (1, N, C) at GLM's positions, each seeing those before."""
    count = words.shape[1]
    view = SelfView(
        rotation or rotation_in_time(torch.arange(count), model.geometry, words.dtype),
        additive(torch.ones(count, count, dtype=torch.bool).tril()[None, None], words.dtype),
        lambda _layer, keys, values: KeyValues(keys, values),
    )
    hidden: torch.Tensor = model.norm(model.run_layers(words, view, cross)[0])
    return hidden


@torch.inference_mode()
def test_with_video_and_conditions_switched_off_it_is_the_language_model(
    language: GlmForCausalLM, begun: Path
) -> None:
    model, sampler = load_actor(begun)
    hidden = read_as_text(model, language.model.embed_tokens(IDS))
    wanted = language(IDS, output_hidden_states=True)
    difference = (hidden - wanted.hidden_states[-1]).abs().max()
    log.info("largest difference of hidden states: %.1e", difference)
    assert wanted.hidden_states[-1].abs().max() > 1
    assert difference <= FLOAT32_ROUNDING
    logits = language.lm_head(hidden)
    torch.testing.assert_close(logits, wanted.logits, atol=FLOAT32_ROUNDING, rtol=0)
    assert sampler == PAPER_SAMPLER


@torch.inference_mode()
def test_nothing_but_the_rounding_of_the_rotation_differs(
    language: GlmForCausalLM, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GLM rounds angles to float32 first, and a rotation's two products each."""

    def rounded_twice(x: torch.Tensor, rotation: Rotation) -> torch.Tensor:
        swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return x * rotation.cos + swapped * rotation.sin

    model, _ = load_actor(begun)
    words = language.model.embed_tokens(IDS)
    tables = language.model.rotary_emb(words, torch.arange(IDS.shape[1])[None])
    cos, sin = (table[0].chunk(2, -1)[0].repeat_interleave(2, -1) for table in tables)
    sin[:, ::2] *= -1
    still = CONFIG.head_dim - cos.shape[-1]
    cos, sin = functional.pad(cos, (0, still), value=1.0), functional.pad(sin, (0, still))
    monkeypatch.setattr(layers, "rotate", rounded_twice)
    hidden = read_as_text(model, words, rotation=Rotation(cos, sin))
    difference = (hidden - language.model(IDS).last_hidden_state).abs().max()
    log.info("largest difference of hidden states: %.1e", difference)
    assert difference <= LAST_BITS


@torch.inference_mode()
def test_conditions_say_nothing_yet(language: GlmForCausalLM, begun: Path) -> None:
    model, _ = load_actor(begun)
    words = language.model.embed_tokens(torch.arange(PAPER_9B.tokens)[None] % CONFIG.vocab_size)
    slots = model.condition_slots(random_conditions(1, 1, model.geometry))
    cross = model.cross_view(slots.layers, slots.seen, model.time_rotation())
    assert torch.equal(read_as_text(model, words, cross), read_as_text(model, words, None))


@torch.inference_mode()
def test_from_the_hubs_files_on_it_computes_what_glm4voices_own_code_did(tmp_path: Path) -> None:
    hub = write_hub_model(tmp_path / "hub", weights(CHATGLM_TINY))
    convert_language_model(hub, tmp_path / "glm")
    initialise(tmp_path / "glm", tmp_path / "actor")
    model, _ = load_actor(tmp_path / "actor")
    table = dict(TensorFiles(tmp_path / "glm").tensors())["model.embed_tokens.weight"]
    hidden = read_as_text(model, table[CHATGLM_TINY["in.input_ids"]].float(), None)
    torch.testing.assert_close(
        hidden, CHATGLM_TINY["out.prefill_last_hidden"], atol=RECORDED, rtol=1e-4
    )


def test_what_is_taken_over_keeps_its_bits_and_matrices_their_type(
    language: GlmForCausalLM, tmp_path: Path
) -> None:
    half = GlmForCausalLM(CONFIG).bfloat16()
    half.load_state_dict(language.state_dict())
    half.save_pretrained(tmp_path / "glm")
    initialise(tmp_path / "glm", tmp_path / "actor")
    stored = dict(TensorFiles(tmp_path / "actor").tensors())
    taken = {
        **half.model.layers.state_dict(prefix="layers."),
        "norm.weight": half.model.norm.weight,
    }
    for name, tensor in taken.items():
        assert torch.equal(stored[name], tensor.to(stored[name].dtype))
    types = {tensor.dtype for tensor in stored.values() if tensor.ndim > 1}
    assert types == {torch.bfloat16}
    model, _ = load_actor(tmp_path / "actor", dtype=torch.bfloat16)
    assert torch.equal(
        model.layers[1].self_attn.q_proj.bias, taken["layers.1.self_attn.q_proj.bias"]
    )


def test_what_is_new_reads_evenly_and_says_nothing(begun: Path) -> None:
    model, _ = load_actor(begun)
    queries = [layer.cross_attn.q_proj.weight for layer in model.layers]
    assert not torch.equal(queries[0], queries[1])
    for layer in model.layers:
        assert not layer.cross_attn.o_proj.weight.any()
        assert (layer.cross_attention_layernorm.weight == 1).all()
        assert not layer.cross_attn.k_proj.bias.any()
    assert float(torch.stack(queries).std()) == pytest.approx(CONFIG.hidden_size**-0.5, rel=0.1)
    assert not model.velocity.weight.any()
    assert (model.latent_std == 1).all()
    assert not model.latent_mean.any()


@torch.inference_mode()
def test_an_untrained_actor_predicts_that_nothing_moves(begun: Path) -> None:
    model, _ = load_actor(begun)
    inputs = random_latents(1, 2, model.geometry)
    made = model(*(tensor.float() for tensor in inputs), random_conditions(1, 2, model.geometry))
    assert made.shape == inputs[1].shape
    assert not made.any()


def test_the_seed_decides_what_is_new(folder: Path, begun: Path, tmp_path: Path) -> None:
    def new(path: Path) -> torch.Tensor:
        return dict(TensorFiles(path).tensors())["layers.2.cross_attn.q_proj.weight"]

    initialise(folder, tmp_path / "same")
    initialise(folder, tmp_path / "other", seed=1)
    assert torch.equal(new(tmp_path / "same"), new(begun))
    assert not torch.equal(new(tmp_path / "other"), new(begun))


def test_the_released_language_model_makes_the_papers_actor() -> None:
    manifest = json.loads((GOLDEN / "m1_chatglm_9b_manifest.json").read_text())
    released = native_config(GlmGeometry.from_hub(manifest["config"]), torch.bfloat16)
    assert geometry_like(released) == PAPER_9B


@pytest.mark.parametrize(
    ("head_dim", "pairs"), [(128, (8, 12, 12)), (64, (4, 6, 6)), (16, (2, 1, 1))]
)
def test_a_heads_rotated_half_is_split_as_in_the_9b_model(
    head_dim: int, pairs: tuple[int, int, int]
) -> None:
    config = deepcopy(CONFIG)
    config.head_dim = head_dim
    assert geometry_like(config).rotary_pairs == pairs


def changed_config(change: dict[str, Any]) -> Callable[[Path], object]:
    def edit(folder: Path) -> object:
        file = folder / "config.json"
        return file.write_text(json.dumps(json.loads(file.read_text()) | change))

    return edit


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"config\.json describes no GLM"),
        (
            lambda folder: (folder / "config.json").write_text("[]"),
            r"config\.json describes no GLM",
        ),
        (changed_config({"model_type": "llama"}), "model_type is llama"),
        (changed_config({"hidden_size": "wide"}), r"config\.json describes no GLM"),
        (changed_config({"attention_bias": False}), "'attention_bias': False.*GLM-4 has"),
        (changed_config({"num_key_value_heads": 3}), "cannot share 3 key-value heads"),
        (changed_config({"num_hidden_layers": 4}), r"missing: model\.layers\.3.*and \d+ more"),
        (changed_config({"num_hidden_layers": 2}), r"unknown: model\.layers\.2"),
        (changed_config({"intermediate_size": 40}), r"down_proj\.weight is \[32, 48\], must be"),
        (
            lambda folder: min(folder.glob("*.safetensors")).write_bytes(b"short"),
            "damaged or cut short",
        ),
    ],
)
def test_a_language_model_that_no_actor_can_begin_with_is_refused(
    folder: Path, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    copy = tmp_path / "glm"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    damage(copy)
    with pytest.raises(LanguageModelUnusable, match=f"(?s){words}.*xstreamer weights convert"):
        initialise(copy, tmp_path / "actor")
    assert [path.name for path in tmp_path.iterdir()] == ["glm"]


def test_the_command_makes_weights_once(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "actor"
    line = ["initialise", "--language-model", str(folder), "--out", str(out), "--window", "2"]
    monkeypatch.setattr("sys.argv", line)
    assert command.main() == 0
    assert "3 layers, width 32" in capsys.readouterr().out
    assert load_actor(out)[1] == replace(PAPER_SAMPLER, window=2)
    assert command.main() == 2
    assert "is there already" in capsys.readouterr().err


def test_geometries_of_language_models_survive_the_file(begun: Path) -> None:
    geometry: ActorGeometry = load_actor(begun)[0].geometry
    assert geometry == geometry_like(CONFIG)
