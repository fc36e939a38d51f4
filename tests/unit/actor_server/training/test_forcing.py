"""Diffusion forcing: levels, targets, what is masked and what is withheld."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from actor_server.codec.mesh.latent import LATENT_DIM, LIDS, MOUTH, PITCH, POSE, YAW
from actor_server.model.conditioner import Conditions
from actor_server.motion.conditioning import KINDS, UNKNOWN_PHONE
from actor_server.schedule import clean_from_velocity
from actor_server.training.batches import hide
from actor_server.training.config import Ablation, Hiding, Stage
from actor_server.training.forcing import (
    HISTORY_LEVEL,
    Forced,
    draw_levels,
    draw_noise,
    force,
)
from actor_server.training.loss import (
    LISTENING_WEIGHT,
    chunk_weights,
    latent_weights,
    velocity_loss,
)
from actor_server.training.mirror import mirrored
from tests.unit.actor_server.training.datasets import conditions

pytestmark = pytest.mark.unit

STAGE = Stage("any", 1.0, 16, 8, 1e-3, 1e-4, (0.0, 0.6))


def dice(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_chunk_has_its_own_level_and_many_histories_are_clean() -> None:
    levels = draw_levels(dice(), (400, 16), STAGE, Ablation())
    assert ((levels >= 0) & (levels <= 1)).all()
    assert 0.25 < (levels == 0).mean() < 0.35
    noisy = levels[levels > 0]
    assert len(np.unique(noisy)) > 0.99 * len(noisy)
    np.testing.assert_allclose(np.quantile(noisy, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)
    shares = (levels == 0).mean(1)
    assert shares.min() < 0.1
    assert shares.max() > 0.55


def test_logit_normal_levels_are_in_the_middle() -> None:
    levels = draw_levels(dice(), (400, 16), replace(STAGE, levels="logit-normal"), Ablation())
    assert 0.25 < (levels == 0).mean() < 0.35
    noisy = levels[levels > 0]
    wanted = 1 / (1 + np.exp(0.6745 * np.array([1, 0, -1])))
    np.testing.assert_allclose(np.quantile(noisy, [0.25, 0.5, 0.75]), wanted, atol=0.02)


def test_teacher_forcing_noises_one_chunk_of_each_sequence() -> None:
    levels = draw_levels(dice(), (200, 16), STAGE, Ablation(teacher_forcing=True))
    assert ((levels > 0).sum(1) == 1).all()
    assert len(np.unique(levels.argmax(1))) == 16


def test_the_velocity_leads_back_to_the_clean_latents() -> None:
    clean = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    levels = torch.linspace(0.1, 1.0, 6, dtype=torch.float64).reshape(2, 3)
    forced = force(clean, draw_noise(dice(), clean), levels)
    back = clean_from_velocity(forced.noised, forced.velocity, levels[..., None, None])
    torch.testing.assert_close(back, clean)


def test_history_carries_a_trace_of_noise_and_still_passes_for_clean() -> None:
    clean = torch.randn(4, 8, 8, 31)
    forced = force(clean, draw_noise(dice(), clean), torch.zeros(4, 8))
    assert not forced.learned.any()
    trace = float((forced.noised - clean).std())
    assert trace == pytest.approx(HISTORY_LEVEL * np.pi / 2, rel=0.05)


def test_noise_is_named_by_its_dice() -> None:
    like = torch.zeros(3, 4)
    assert torch.equal(draw_noise(dice(1), like), draw_noise(dice(1), like))
    assert not torch.equal(draw_noise(dice(1), like), draw_noise(dice(2), like))


def test_only_trusted_numbers_of_noisy_chunks_cost() -> None:
    shape = (1, 3, 8, LATENT_DIM)
    forced = Forced(torch.zeros(shape), torch.tensor([[0.0, 0.5, 0.5]]), torch.zeros(shape))
    trusted = torch.ones(shape, dtype=torch.bool)
    trusted[:, 2, :, MOUTH] = False
    weights = latent_weights()
    guess = torch.zeros(shape, requires_grad=True)
    velocity_loss(guess + 1, forced, trusted, weights).backward()
    assert guess.grad is not None
    learned = guess.grad != 0
    assert not learned[:, 0].any()
    assert learned[:, 1].all()
    assert torch.equal(learned[0, 2], trusted[0, 2])


def test_a_sequence_without_anything_to_learn_costs_nothing() -> None:
    shape = (1, 2, 8, LATENT_DIM)
    forced = Forced(torch.zeros(shape), torch.zeros(1, 2), torch.zeros(shape))
    nothing = torch.zeros(shape, dtype=torch.bool)
    assert velocity_loss(torch.ones(shape), forced, nothing, latent_weights()) == 0


def test_the_opening_of_the_mouth_weighs_most() -> None:
    weights = latent_weights()
    assert weights.argmax() == MOUTH.start
    assert weights.min() > 0
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))


def test_what_moves_slowly_counts_more_while_the_caller_talks() -> None:
    given = Conditions.stack([conditions(3)])
    kinds = torch.tensor([[KINDS.index(kind) for kind in ("speaking", "listening", "idle")]])
    speaking, listening, idle = chunk_weights(replace(given, kind=kinds))[0, :, 0]
    torch.testing.assert_close(speaking, latent_weights())
    torch.testing.assert_close(idle, latent_weights())
    torch.testing.assert_close(listening[MOUTH], speaking[MOUTH])
    torch.testing.assert_close(listening[POSE], LISTENING_WEIGHT * speaking[POSE])


def test_withheld_parts_leave_the_rest_as_it_was() -> None:
    given = Conditions.stack([conditions(4)] * 200)
    hidden = hide(given, Hiding(condition=0.2, phones=0.3, features=0.1, text=0.5), dice())
    for part in fields(Conditions):
        if part.name not in ("phones", "audio", "text_seen", "dropped"):
            assert torch.equal(getattr(hidden, part.name), getattr(given, part.name))
    no_phones = (hidden.phones == UNKNOWN_PHONE).all((1, 2, 3))
    no_audio = (hidden.audio == 0).all((1, 2, 3))
    assert 0.2 < no_phones.double().mean() < 0.4
    assert 0.03 < no_audio.double().mean() < 0.2
    assert not (no_phones & no_audio).any()
    assert torch.equal(hidden.phones[~no_phones], given.phones[~no_phones])
    assert torch.equal(hidden.audio[~no_audio], given.audio[~no_audio])
    assert 0.12 < hidden.dropped.double().mean() < 0.28


def test_a_mirror_turns_the_head_the_other_way_and_exchanges_the_lids() -> None:
    latents = torch.arange(1.0, LATENT_DIM + 1)
    seen = mirrored(latents)
    assert seen[YAW] == -latents[YAW]
    assert seen[PITCH] == latents[PITCH]
    assert seen[LIDS].tolist() == latents[LIDS].flip(0).tolist()
    assert torch.equal(seen[MOUTH], latents[MOUTH])
    assert torch.equal(mirrored(seen), latents)


def test_a_trembling_head_costs_more_than_one_that_is_elsewhere_and_lips_may_jump() -> None:
    shape = (1, 2, 8, LATENT_DIM)
    forced = Forced(torch.zeros(shape), torch.full((1, 2), 0.5), torch.zeros(shape))
    trusted, weights = torch.ones(shape, dtype=torch.bool), latent_weights()
    alternating = torch.tensor([1.0, -1.0] * 4)[:, None]

    def costs(place: slice) -> tuple[float, float]:
        elsewhere, trembling = torch.zeros(shape), torch.zeros(shape)
        elsewhere[..., place], trembling[..., place] = 1.0, alternating
        guesses = (elsewhere, trembling)
        there, here = (float(velocity_loss(g, forced, trusted, weights)) for g in guesses)
        return there, here

    there, here = costs(POSE)
    assert here > 5 * there
    there, here = costs(MOUTH)
    assert here == pytest.approx(there)


def test_a_head_that_jumps_where_a_chunk_follows_a_clean_one_costs_more() -> None:
    shape = (1, 2, 8, LATENT_DIM)
    trusted, weights = torch.ones(shape, dtype=torch.bool), latent_weights()

    def cost(place: slice, before: float) -> float:
        forced = Forced(torch.zeros(shape), torch.tensor([[before, 0.5]]), torch.zeros(shape))
        elsewhere = torch.zeros(shape)
        elsewhere[:, 1, :, place] = 1.0
        total = float(velocity_loss(elsewhere, forced, trusted, weights))
        return total * float(forced.learned.sum())

    assert cost(POSE, before=0.0) > 1.15 * cost(POSE, before=0.5)
    assert cost(MOUTH, before=0.0) == pytest.approx(cost(MOUTH, before=0.5))
