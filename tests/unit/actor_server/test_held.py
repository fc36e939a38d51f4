"""A face that stands still while time is short goes on where it stood."""

import random

import numpy as np
import pytest

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.motion.held import HeldMotion
from actor_server.motion.source import NEVER_SHOWN, Floats, MotionStream
from actor_server.saving import Saving
from tests.unit.actor_server.conditions import idle, mixed_conditions, play
from tests.unit.actor_server.small_actor import small_diffusion

pytestmark = pytest.mark.unit

MOTION = HeldMotion(small_diffusion(steps=3, window=2, max_sessions=8))


def opened(seed: int = 1) -> MotionStream:
    return MOTION.open(portrait_latent(), seed)


def chunk(stream: MotionStream) -> Floats:
    return play(stream, [idle()])


def test_a_held_face_shows_its_last_chunk_on_and_then_goes_on_from_it() -> None:
    held, straight = opened(), opened()
    conditions = mixed_conditions(3, 12, MOTION.sight)
    expected = np.concatenate([play(straight, conditions[:4]), play(straight, conditions[4:])])
    before = play(held, conditions[:4])
    held.ease(Saving.STILL)
    still = play(held, [idle(9)] * 5)
    assert np.array_equal(still, np.tile(before[-8:], (5, 1)))
    held.ease(Saving.NOTHING)
    after = play(held, conditions[4:])
    assert np.abs(np.concatenate([before, after]) - expected).max() < 1e-6
    for stream in (held, straight):
        stream.close()


def test_what_is_in_flight_is_held_too_and_begins_again_afterwards() -> None:
    stream = opened()
    first = chunk(stream)
    stream.offer(idle(1))
    stream.offer(idle(1))
    assert stream.next_chunk() is None
    stream.ease(Saving.STILL)
    held = stream.next_chunk()
    assert held is not None
    assert np.array_equal(held, first)
    stream.ease(Saving.NOTHING)
    passes = 0
    while (moved := stream.next_chunk()) is None:
        passes += 1
    assert passes == 2
    assert not np.array_equal(moved, first)
    stream.close()


def test_a_call_that_begins_in_a_crowd_gets_a_face_before_it_stands_still() -> None:
    stream = opened()
    stream.ease(Saving.STILL)
    first = chunk(stream)
    assert np.array_equal(chunk(stream), first)
    stream.rollback(NEVER_SHOWN)
    again = chunk(stream)
    assert np.abs(again - first).max() < 1e-6
    stream.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_rollback_over_a_halt_is_exact(seed: int) -> None:
    chance = random.Random(seed)
    detour, straight = opened(), opened()
    conditions = mixed_conditions(seed, 6, MOTION.sight)
    for _ in range(3):
        detour.ease(chance.choice([Saving.STILL, Saving.NOTHING]))
        play(detour, conditions[:3])
        detour.rollback(NEVER_SHOWN)
    detour.ease(Saving.NOTHING)
    made = play(detour, conditions[:3])
    detour.ease(Saving.STILL)
    play(detour, conditions[3:])
    detour.rollback(chance.randrange(2, 5))  # during the halt, or just before it
    detour.ease(Saving.NOTHING)
    made = np.concatenate([made, play(detour, conditions[3:])])
    expected = np.concatenate([play(straight, conditions[:3]), play(straight, conditions[3:])])
    assert np.abs(made - expected).max() < 1e-6
    for stream in (detour, straight):
        stream.close()
