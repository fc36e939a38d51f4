"""Two motion sources as one: changes without a jump, exact rollback across them."""

import numpy as np
import pytest

from actor_server.codec.mesh.latent import LIDS, MOUTH, POSE, portrait_latent
from actor_server.motion.fallback import FAST_FRAMES, SLOW_FRAMES, FallbackMotion, FallbackStream
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Condition, Floats
from proto.time_law import CHUNK_FRAMES
from tests.unit.actor_server.conditions import idle, mixed_conditions, play
from tests.unit.actor_server.passes import STILL, PassMotion
from tests.unit.actor_server.small_actor import small_diffusion

pytestmark = pytest.mark.unit

SMALL = FallbackMotion(small_diffusion(steps=3, window=2), ProceduralMotion)


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
    stream = open_stream(FallbackMotion(PassMotion(), ProceduralMotion))
    assert np.all(play(stream, conditions(1, 4)) == np.float32(STILL))
    stream.ease(True)
    eased = play(stream, conditions(1, 8)[4:])
    expected = rules(1, 8)[4 * CHUNK_FRAMES :]
    assert np.array_equal(eased[SLOW_FRAMES:], expected[SLOW_FRAMES:])
    lips = eased[FAST_FRAMES:, MOUTH]
    assert np.array_equal(lips, expected[FAST_FRAMES:, MOUTH])
    assert stream.eased


def test_the_pose_never_jumps_when_the_source_changes() -> None:
    still = FallbackMotion(PassMotion(), ProceduralMotion)
    stream = open_stream(still)
    shown = [play(stream, conditions(2, 30)[:9])]
    for begin, eased in ((9, True), (12, False), (13, True), (20, False)):
        stream.ease(eased)
        shown.append(play(stream, conditions(2, 30)[begin : begin + 3]))
    speed = np.abs(np.diff(np.concatenate(shown)[:, POSE], axis=0))
    # a difference of up to 0.15 fades in 16 frames at 0.014 a frame, and the rules move too
    assert speed.max() < 0.014 + np.radians(2.0)


def test_what_is_in_flight_at_a_change_is_made_by_the_new_source() -> None:
    stream = open_stream(FallbackMotion(PassMotion(passes=5, window=2), ProceduralMotion))
    for condition in conditions(3, 2):
        stream.offer(condition)
    assert stream.next_chunk() is None
    stream.ease(True)
    assert stream.next_chunk() is not None
    stream.ease(False)
    assert [stream.next_chunk() is None for _ in range(5)] == [True] * 4 + [False]
    assert stream.next_chunk() is None


@pytest.mark.parametrize("to_chunk", [3, 5, 8])
def test_a_rollback_over_changes_is_exact(to_chunk: int) -> None:
    def shown_until(chunks: int) -> FallbackStream:
        stream = open_stream()
        for begin, eased in ((0, False), (4, True), (7, False)):
            stream.ease(eased)
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
    stream = open_stream(FallbackMotion(PassMotion(), ProceduralMotion))
    play(stream, [idle()] * 3)
    stream.ease(True)
    latents = play(stream, [idle()] * 3)
    assert latents[:, LIDS].max() <= 1.0


def test_both_sources_are_closed() -> None:
    motion = PassMotion()
    open_stream(FallbackMotion(motion, ProceduralMotion)).close()
    assert motion.streams[0].closed
