"""The transformer is GLM's where it should be, and every chunk sees exactly what it may see."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from transformers import GlmConfig, GlmForCausalLM

from actor_server.model.conditioner import Conditions
from actor_server.model.empty import empty_actor
from actor_server.model.geometry import NANO, PAPER_9B, TINY, ActorGeometry
from actor_server.model.layers import KeyValues, SelfView, additive
from actor_server.model.rotary import rotate, rotation_at, rotation_in_time
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import CUE_NUMBERS, CUES, KINDS, Visibility
from tests.unit.actor_server.tiny_actor import (
    random_conditions,
    random_latents,
    tiny_actor,
    with_noise_where,
)

pytestmark = pytest.mark.unit

LIKE_GLM = replace(
    TINY, layers=3, width=32, heads=4, kv_heads=2, head_dim=16, ffn_width=48, rotary_pairs=(1, 1, 2)
)
LOUDNESS, PITCH = CUES.index("loudness"), CUES.index("pitch")
SHORT_MEMORY = replace(TINY, context_chunks=3)


def glm(geometry: ActorGeometry) -> GlmForCausalLM:
    torch.manual_seed(3)
    return GlmForCausalLM(
        GlmConfig(
            vocab_size=50,
            hidden_size=geometry.width,
            intermediate_size=geometry.ffn_width,
            num_hidden_layers=geometry.layers,
            num_attention_heads=geometry.heads,
            num_key_value_heads=geometry.kv_heads,
            head_dim=geometry.head_dim,
            rms_norm_eps=geometry.norm_eps,
            attention_bias=True,
            pad_token_id=0,
            attn_implementation="sdpa",
        )
    ).eval()


@torch.no_grad()
def test_layers_given_glms_weights_compute_glm_when_t_h_and_w_are_equal() -> None:
    language, video = glm(LIKE_GLM), VideoTransformer(LIKE_GLM)
    for parameter in language.parameters():
        parameter.normal_(std=0.3)
    weights = language.model.layers.state_dict()
    missing = video.layers.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys
    assert all("cross" in name for name in missing.missing_keys)
    video.norm.load_state_dict(language.model.norm.state_dict())

    ids = torch.arange(12)[None]
    words = language.model.embed_tokens(ids)
    times = torch.arange(12, dtype=torch.float64)
    view = SelfView(
        rotation_in_time(times, LIKE_GLM, torch.float32),
        additive(torch.ones(12, 12, dtype=torch.bool).tril()[None, None], torch.float32),
        lambda _layer, keys, values: KeyValues(keys, values),
    )
    slots = video.condition_slots(random_conditions(1, 6, LIKE_GLM))
    cross = video.cross_view(slots.layers, slots.seen, video.time_rotation())
    hidden = video.norm(video.run_layers(words, view, cross)[0])

    wanted = language.model(ids).last_hidden_state
    assert wanted.abs().max() > 0.5
    torch.testing.assert_close(hidden, wanted, atol=2e-5, rtol=1e-5)


def test_a_rotated_product_depends_only_on_the_distance_along_each_axis() -> None:
    query, key = torch.randn(2, 128, dtype=torch.float64)
    near, moved = torch.tensor([[1.0, 3, 5], [2, 1, 4]]), torch.tensor([[7.0, 4, 2], [8, 2, 1]])

    def product(at: torch.Tensor) -> torch.Tensor:
        turned = rotate(torch.stack([query, key]), rotation_at(at, PAPER_9B, torch.float64))
        return turned[0] @ turned[1]

    torch.testing.assert_close(product(near), product(moved))
    assert (product(near) - product(near.flip(0))).abs() > 1e-3


@pytest.mark.parametrize("geometry", [TINY, SHORT_MEMORY])
def test_a_chunk_sees_the_reference_its_context_and_itself_and_nothing_else(
    geometry: ActorGeometry,
) -> None:
    """Deeper layers see further back through the chunks between, so one layer is looked at."""
    model = tiny_actor(replace(geometry, layers=1))
    reference, latents, levels = random_latents(1, 8)
    conditions = random_conditions(1, 8)
    before = model(reference, latents, levels, conditions)
    for changed in range(8):
        other = latents.clone()
        other[:, changed] += 1
        moved = (model(reference, other, levels, conditions) - before).abs().amax((0, 2, 3)) > 1e-9
        seen = [0 <= chunk - changed <= geometry.context_chunks for chunk in range(8)]
        assert moved.tolist() == seen
    moved = (model(reference + 1, latents, levels, conditions) - before).abs().amax((0, 2, 3))
    assert (moved > 1e-9).all()


def test_all_tokens_of_a_chunk_see_each_other_unless_attention_is_token_wise_causal() -> None:
    model = tiny_actor()
    reference, latents, levels = random_latents(1, 3)
    conditions = random_conditions(1, 3)
    other = latents.clone()
    other[:, 1, 1] += 1

    def first_token_moves(causal: bool) -> bool:
        both = [
            model(reference, x, levels, conditions, token_causal=causal) for x in (latents, other)
        ]
        return bool((both[0] - both[1])[:, 1, 0].abs().max() > 1e-9)

    assert first_token_moves(causal=False)
    assert not first_token_moves(causal=True)


def test_without_the_reference_it_does_not_matter() -> None:
    model = tiny_actor(SHORT_MEMORY)
    reference, latents, levels = random_latents(1, 6)
    conditions = random_conditions(1, 6)
    both = [
        model(portrait, latents, levels, conditions, use_reference=False)
        for portrait in (reference, reference + 1)
    ]
    assert torch.equal(both[0], both[1])


def test_a_sequence_of_any_length_looks_the_same_to_a_chunk_with_its_context_full() -> None:
    """The reference keeps its distance: cutting off what a chunk cannot see changes nothing."""
    model = tiny_actor(replace(SHORT_MEMORY, layers=1))
    reference, latents, levels = random_latents(1, 9)
    conditions = random_conditions(1, 9)
    whole = model(reference, latents, levels, conditions)[:, -1]
    tail = model(reference, latents[:, 5:], levels[:, 5:], conditions[5:])[:, -1]
    torch.testing.assert_close(tail, whole, atol=1e-12, rtol=0)


def test_a_chunk_reads_only_its_own_condition() -> None:
    model = tiny_actor(replace(SHORT_MEMORY, layers=1))
    reference, latents, levels = random_latents(1, 4)
    conditions = random_conditions(1, 4, seed=2)
    before = model(reference, latents, levels, conditions)
    other = with_noise_where(conditions, 1, only_unseen=False)
    # of its kind and cues, which its own tokens carry, later chunks know
    other = replace(other, kind=conditions.kind, cues=conditions.cues)
    moved = (model(reference, latents, levels, other) - before).abs().amax((0, 2, 3)) > 1e-9
    assert moved.tolist() == [False, True, False, False]


def test_a_cue_is_told_to_the_token_of_its_frame_and_a_dropped_condition_has_none() -> None:
    conditioner = tiny_actor().conditioner
    conditions = replace(random_conditions(1, 3), dropped=torch.tensor([[False, False, True]]))
    cues = conditions.cues.clone()
    cues[:, 1, 5] += 1.0  # of eight frames, four to a token
    before, after = (
        conditioner.moments(replace(conditions, cues=c)) for c in (conditions.cues, cues)
    )
    assert (before != after).any(-1)[0].tolist() == [[False, False], [False, True], [False, False]]
    assert not before[:, 2].any()


def test_an_eighth_of_an_octave_is_told_as_large_as_the_loudest_voice() -> None:
    conditioner = tiny_actor().conditioner
    told: list[torch.Tensor] = []
    assert conditioner.moment_in is not None
    conditioner.moment_in.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    conditions = random_conditions(1, 1)
    for cue, value in ((LOUDNESS, 1.0), (PITCH, 0.125)):
        cues = torch.zeros_like(conditions.cues)
        cues[..., cue] = value
        conditioner.moments(replace(conditions, cues=cues))
    loud, high = (one.unflatten(-1, (-1, len(KINDS) + CUE_NUMBERS)) for one in told)
    assert (loud[..., len(KINDS) + LOUDNESS] == 1).all()
    assert (high[..., len(KINDS) + PITCH] == 1).all()


def test_slots_that_are_not_seen_do_not_matter() -> None:
    model = tiny_actor()
    reference, latents, levels = random_latents(2, 3)
    conditions = random_conditions(2, 3)
    for chunk in range(3):
        other = with_noise_where(conditions, chunk, only_unseen=True)
        assert not torch.equal(other.audio, conditions.audio)
        torch.testing.assert_close(
            model(reference, latents, levels, other),
            model(reference, latents, levels, conditions),
            atol=1e-12,
            rtol=0,
        )


def test_a_dropped_condition_is_the_same_null_whatever_it_was() -> None:
    model = tiny_actor()
    reference, latents, levels = random_latents(1, 2)

    def dropped(seed: int) -> Conditions:
        conditions = random_conditions(1, 2, seed=seed)
        return replace(conditions, dropped=torch.ones(1, 2, dtype=torch.bool))

    one, other = (model(reference, latents, levels, dropped(seed)) for seed in (1, 2))
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_training_reaches_every_parameter() -> None:
    model = tiny_actor().requires_grad_(True)
    conditions = replace(random_conditions(2, 4), kind=torch.tensor([[0, 1, 2, 0]] * 2))
    model(*random_latents(2, 4), conditions).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("geometry", [NANO, TINY, PAPER_9B])
def test_a_geometry_survives_json(geometry: ActorGeometry) -> None:
    assert ActorGeometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry


def test_nano_and_9b_have_the_size_that_their_documents_state() -> None:
    def millions(geometry: ActorGeometry) -> float:
        return sum(parameter.numel() for parameter in empty_actor(geometry).parameters()) / 1e6

    assert 5 < millions(NANO) < 7
    assert 9_500 < millions(PAPER_9B) < 9_800


def test_9b_has_as_much_in_its_layers_and_cross_attention_as_the_paper_says() -> None:
    def billions(geometry: ActorGeometry, cross: bool) -> float:
        layers = empty_actor(geometry).layers
        sizes = {name: parameter.numel() for name, parameter in layers.named_parameters()}
        wanted = "cross_attn" if cross else ""
        return (
            sum(
                size
                for name, size in sizes.items()
                if wanted in name and (cross or "cross_att" not in name)
            )
            / 1e9
        )

    every_head_its_own_keys = replace(PAPER_9B, kv_heads=PAPER_9B.heads)
    assert billions(PAPER_9B, cross=False) == pytest.approx(8.158, abs=5e-4)
    assert billions(PAPER_9B, cross=True) == pytest.approx(1.43, abs=5e-3)
    assert billions(every_head_its_own_keys, cross=True) == pytest.approx(2.68, abs=5e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kv_heads": 3},
        {"rotary_pairs": (4, 6, 5)},
        {"project_conditions": False, "sight": Visibility(4, 2, 576)},
    ],
)
def test_a_geometry_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cannot share|do not fill|must be projected"):
        replace(NANO, **wrong)


def test_an_actor_without_memory_is_made_without_torchs_symbolic_half() -> None:
    program = (
        "import sys; from actor_server.model.empty import empty_actor;"
        "from actor_server.model.geometry import NANO; empty_actor(NANO);"
        "assert not {'sympy', 'torch._dynamo'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
