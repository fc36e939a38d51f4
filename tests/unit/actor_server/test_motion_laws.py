"""Laws of every motion source: chunks, windows, seeds, flush, rollback, limits, bounded memory."""

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from actor_server.codec.mesh.latent import (
    LATENT_DIM,
    LID_RANGE,
    LIDS,
    POSE,
    POSE_LIMIT_RAD,
    portrait_latent,
)
from actor_server.motion.fallback import FallbackMotion
from actor_server.motion.held import HeldMotion
from actor_server.motion.mood import MoodMotion
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import (
    CHUNK_LATENTS,
    NEVER_SHOWN,
    ChunkForgotten,
    Condition,
    Floats,
    MotionSource,
    MotionStream,
    WindowFull,
)
from actor_server.motion.still import StillMotion
from actor_server.saving import Saving
from tests.unit.actor_server.conditions import idle, moody_conditions, play
from tests.unit.actor_server.small_actor import small_diffusion

pytestmark = pytest.mark.unit

SOURCES: dict[str, Callable[[], MotionSource]] = {
    "procedural": ProceduralMotion,
    "diffusion, one chunk in flight": lambda: small_diffusion(steps=3, window=1),
    "diffusion, three chunks in flight": lambda: small_diffusion(steps=4, window=3),
    "diffusion of all calls in one pass": lambda: small_diffusion(4, 3, batched=True),
    "diffusion between fixed buffers": lambda: small_diffusion(4, 2, batched=True, graphs=True),
    "diffusion with its fallback": lambda: FallbackMotion(
        small_diffusion(steps=3, window=2), ProceduralMotion, Saving.TEACHER
    ),
    "diffusion that can be held": lambda: HeldMotion(small_diffusion(steps=4, window=3)),
    "rules in their moods": lambda: MoodMotion(ProceduralMotion()),
    "diffusion in its moods": lambda: MoodMotion(small_diffusion(steps=4, window=3)),
    "all that a call has": lambda: FallbackMotion(
        MoodMotion(
            FallbackMotion(small_diffusion(steps=4, window=1), ProceduralMotion, Saving.TEACHER)
        ),
        StillMotion,
        Saving.STILL,
    ),
}
EVERYTHING = 1_000
"""An epoch after all others."""


@pytest.fixture(params=list(SOURCES), scope="module")
def source(request: pytest.FixtureRequest) -> MotionSource:
    return SOURCES[request.param]()


def same(left: Floats, right: Floats) -> bool:
    """Equal but for the rounding of passes that are computed together with other chunks."""
    return bool(np.abs(left - right).max() < 1e-6)


class Calls:
    """Opens streams of a source and closes them all."""

    def __init__(self, source: MotionSource) -> None:
        self.source = source
        self._open: list[MotionStream] = []

    def open(self, seed: int = 1) -> MotionStream:
        stream = self.source.open(portrait_latent(), seed)
        self._open.append(stream)
        return stream

    def conditions(self, seed: int, count: int) -> list[Condition]:
        return moody_conditions(seed, count, self.source.sight)

    def close(self) -> None:
        for stream in self._open:
            stream.close()


@pytest.fixture
def calls(source: MotionSource) -> Iterator[Calls]:
    found = Calls(source)
    yield found
    found.close()


def test_a_chunk_has_eight_frames_of_latents(calls: Calls) -> None:
    latents = play(calls.open(), [idle()])
    assert latents.shape == CHUNK_LATENTS
    assert latents.dtype == np.float32


def test_without_a_condition_there_is_no_chunk(calls: Calls) -> None:
    stream = calls.open()
    assert stream.next_chunk() is None
    play(stream, [idle()])
    assert stream.next_chunk() is None


def test_one_offer_more_than_the_window_is_refused(calls: Calls) -> None:
    stream = calls.open()
    for _ in range(stream.window):
        stream.offer(idle())
    with pytest.raises(WindowFull):
        stream.offer(idle())


def test_the_same_seed_gives_the_same_motion_and_another_another(calls: Calls) -> None:
    conditions = calls.conditions(5, 30)
    first, again, other = (play(calls.open(seed), conditions) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert np.abs(first[:, POSE] - other[:, POSE]).max() > np.radians(0.5)


def test_what_is_said_moves_the_face(calls: Calls) -> None:
    conditions = calls.conditions(5, 8)
    quiet = play(calls.open(), [idle()] * 8)
    assert np.abs(play(calls.open(), conditions) - quiet).max() > 0.01


@pytest.mark.parametrize("seed", range(4))
def test_after_a_rollback_it_is_as_if_later_chunks_had_never_been_made(
    calls: Calls, seed: int
) -> None:
    chance = random.Random(seed)
    shown = calls.conditions(seed, 12)
    dropped = calls.conditions(seed + 100, chance.randint(1, 12))
    following = calls.conditions(seed + 200, 12)
    straight, detour = calls.open(seed), calls.open(seed)
    play(straight, shown)
    play(detour, [*shown, *dropped])
    detour.offer(idle())  # in flight when the interrupt comes
    detour.next_chunk()
    detour.rollback(len(shown) - 1)
    assert same(play(straight, following), play(detour, following))


def test_a_rollback_to_before_the_first_chunk_begins_again(calls: Calls) -> None:
    stream = calls.open()
    first = play(stream, calls.conditions(1, 5))
    stream.rollback(NEVER_SHOWN)
    assert same(play(stream, calls.conditions(1, 5)), first)


@pytest.mark.parametrize("to_chunk", [-2, 5, 6, 1000])
def test_a_rollback_to_a_chunk_that_was_not_made_is_refused(calls: Calls, to_chunk: int) -> None:
    stream = calls.open()
    play(stream, [idle()] * 5)
    with pytest.raises(ChunkForgotten, match="chunk"):
        stream.rollback(to_chunk)


def test_a_refused_rollback_changes_nothing(calls: Calls) -> None:
    refused, untouched = calls.open(), calls.open()
    for stream in (refused, untouched):
        play(stream, calls.conditions(2, 4))
    with pytest.raises(ChunkForgotten):
        refused.rollback(4)
    following = calls.conditions(3, 4)
    assert same(play(refused, following), play(untouched, following))


def test_flush_drops_only_what_is_older_than_the_epoch(calls: Calls) -> None:
    stream = calls.open()
    for _ in range(stream.window):
        stream.offer(idle(3))
    assert stream.flush(3) == 0
    assert stream.flush(4) == stream.window
    assert stream.next_chunk() is None


def test_flush_in_the_middle_keeps_what_was_made_and_starts_afresh(calls: Calls) -> None:
    flushed, straight = calls.open(), calls.open()
    shown, following = calls.conditions(4, 5), calls.conditions(6, 6)
    play(flushed, shown)
    play(straight, shown)
    for _ in range(flushed.window):
        flushed.offer(idle())
    if flushed.window > 1:
        assert flushed.next_chunk() is None
    assert flushed.flush(EVERYTHING) == flushed.window
    assert same(play(flushed, following), play(straight, following))


def test_poses_and_lids_stay_within_what_the_decoder_draws(calls: Calls) -> None:
    latents = play(calls.open(), calls.conditions(9, 20))
    assert np.all(np.abs(latents[:, POSE]) <= np.array(POSE_LIMIT_RAD, np.float32))
    assert latents[:, LIDS].min() >= np.float32(LID_RANGE[0])
    assert latents[:, LIDS].max() <= LID_RANGE[1]


def test_streams_do_not_disturb_each_other(calls: Calls) -> None:
    first, second = calls.conditions(3, 4), calls.conditions(4, 4)
    alone, accompanied, other = calls.open(2), calls.open(2), calls.open(9)
    expected = play(alone, first), play(alone, second)
    before = play(accompanied, first)
    play(other, calls.conditions(8, 7))
    after = play(accompanied, second)
    assert same(before, expected[0])
    assert same(after, expected[1])


def test_another_codecs_reference_is_refused(source: MotionSource) -> None:
    with pytest.raises(ValueError, match=str(LATENT_DIM)):
        source.open(np.zeros(64, np.float32), 1)
