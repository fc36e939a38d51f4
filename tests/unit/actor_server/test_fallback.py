"""Two motion sources as one: changes without a jump, exact rollback across them."""

import numpy as np
import pytest

from actor_server.codec.mesh.latent import (
    LIDS,
    MOUTH,
    POSE,
    portrait_latent,
    speech_neutral_latent,
)
from actor_server.motion.fallback import FAST_FRAMES, SLOW_FRAMES, FallbackMotion, FallbackStream
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Condition, Floats
from actor_server.motion.still import StillMotion
from actor_server.saving import Saving
from proto.time_law import CHUNK_FRAMES
from tests.unit.actor_server.conditions import idle, mixed_conditions, play
from tests.unit.actor_server.passes import STILL, PassMotion
from tests.unit.actor_server.small_actor import small_diffusion

pytestmark = pytest.mark.unit

SMALL = FallbackMotion(small_diffusion(steps=3, window=2), ProceduralMotion, Saving.TEACHER)


def conditions(seed: int, count: int) -> list[Condition]:
    return mixed_conditions(seed, count, SMALL.sight)


def open_stream(source: FallbackMotion = SMALL, seed: int = 1) -> FallbackStream:
    return source.open(portrait_latent(), seed)


def rules(seed: int, count: int) -> Floats:
    """What the rules alone would show."""
    return play(
        ProceduralMotion(SMALL.sight).open(portrait_latent(), seed), conditions(seed, count)
    )


def test_an_eased_call_is_moved_by_the_rules_once_the_difference_has_faded() -> None:
    stream = open_stream(FallbackMotion(PassMotion(), ProceduralMotion, Saving.TEACHER))
    assert np.all(play(stream, conditions(1, 4)) == np.float32(STILL))
    stream.ease(Saving.TEACHER)
    eased = play(stream, conditions(1, 8)[4:])
    expected = rules(1, 8)[4 * CHUNK_FRAMES :]
    assert np.array_equal(eased[SLOW_FRAMES:], expected[SLOW_FRAMES:])
    lips = eased[FAST_FRAMES:, MOUTH]
    assert np.array_equal(lips, expected[FAST_FRAMES:, MOUTH])


def test_the_pose_never_jumps_when_the_source_changes() -> None:
    still = FallbackMotion(PassMotion(), ProceduralMotion, Saving.TEACHER)
    stream = open_stream(still)
    shown = [play(stream, conditions(2, 30)[:9])]
    for begin, eased in ((9, True), (12, False), (13, True), (20, False)):
        stream.ease(Saving.TEACHER if eased else Saving.NOTHING)
        shown.append(play(stream, conditions(2, 30)[begin : begin + 3]))
    speed = np.abs(np.diff(np.concatenate(shown)[:, POSE], axis=0))
    # a difference of up to 0.15 fades in 16 frames at 0.014 a frame, and the rules move too
    assert speed.max() < 0.014 + np.radians(2.0)


def test_what_is_in_flight_at_a_change_is_made_by_the_new_source() -> None:
    stream = open_stream(
        FallbackMotion(PassMotion(passes=5, window=2), ProceduralMotion, Saving.TEACHER)
    )
    for condition in conditions(3, 2):
        stream.offer(condition)
    assert stream.next_chunk() is None
    stream.ease(Saving.TEACHER)
    assert stream.next_chunk() is not None
    stream.ease(Saving.NOTHING)
    assert [stream.next_chunk() is None for _ in range(5)] == [True] * 4 + [False]
    assert stream.next_chunk() is None


@pytest.mark.parametrize("to_chunk", [3, 5, 8])
def test_a_rollback_over_changes_is_exact(to_chunk: int) -> None:
    def shown_until(chunks: int) -> FallbackStream:
        stream = open_stream()
        for begin, eased in ((0, False), (4, True), (7, False)):
            stream.ease(Saving.TEACHER if eased else Saving.NOTHING)
            end = min({0: 4, 4: 7, 7: 11}[begin], chunks)
            if begin < end:
                play(stream, conditions(4, 11)[begin:end])
        return stream

    straight, detour = shown_until(to_chunk + 1), shown_until(11)
    detour.rollback(to_chunk)
    following = conditions(5, 6)
    assert np.abs(play(straight, following) - play(detour, following)).max() < 1e-6
    straight.close()
    detour.close()


def test_lids_and_pose_stay_within_limits_while_a_difference_fades() -> None:
    stream = open_stream(FallbackMotion(PassMotion(), ProceduralMotion, Saving.TEACHER))
    play(stream, [idle()] * 3)
    stream.ease(Saving.TEACHER)
    latents = play(stream, [idle()] * 3)
    assert latents[:, LIDS].max() <= 1.0


def test_both_sources_are_closed() -> None:
    motion = PassMotion()
    open_stream(FallbackMotion(motion, ProceduralMotion, Saving.TEACHER)).close()
    assert motion.streams[0].closed


def test_half_of_the_passes_is_the_sampler_of_half_the_steps() -> None:
    halved, short = small_diffusion(steps=4, window=1), small_diffusion(steps=2, window=1)
    stream, expected = (source.open(portrait_latent(), 1) for source in (halved, short))
    stream.ease(Saving.FEWER_PASSES)
    wanted = mixed_conditions(6, 12, halved.sight)
    assert np.array_equal(play(stream, wanted), play(expected, wanted))
    stream.ease(Saving.NOTHING)
    stream.offer(idle())
    assert [stream.next_chunk() is None for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(("steps", "window"), [(4, 2), (3, 1)])
def test_passes_that_cannot_be_halved_are_no_step(steps: int, window: int) -> None:
    source = small_diffusion(steps, window)
    assert source.savings == ()
    stream = source.open(portrait_latent(), 1)
    stream.ease(Saving.FEWER_PASSES)
    wanted = mixed_conditions(7, 6, source.sight)
    assert np.array_equal(play(stream, wanted), play(source.open(portrait_latent(), 1), wanted))


def test_a_call_that_stood_still_goes_on_where_it_was_and_can_be_rolled_back() -> None:
    rules_below = FallbackMotion(PassMotion(), ProceduralMotion, Saving.TEACHER)
    source = FallbackMotion(rules_below, StillMotion, Saving.STILL)
    stream = source.open(portrait_latent(), 1)
    stream.ease(Saving.TEACHER)
    moving = play(stream, conditions(8, 30)[:10])
    stream.ease(Saving.STILL)
    still = play(stream, conditions(8, 30)[10:20])
    assert np.all(still[SLOW_FRAMES:] == speech_neutral_latent())
    stream.rollback(12)
    again = play(stream, conditions(8, 30)[13:20])
    assert np.array_equal(again, still[3 * CHUNK_FRAMES :])
    stream.ease(Saving.HALF_RATE)
    shown = np.concatenate([moving, still, play(stream, conditions(8, 30)[20:])])
    speed = np.abs(np.diff(shown[:, POSE], axis=0))
    assert speed.max() < 0.02 + np.radians(2.0)
