"""Calls whose passes are computed together are the calls that they would be alone."""

import random
from collections import deque

import numpy as np
import pytest

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.motion.source import ChunkForgotten, Condition, Floats, MotionStream
from tests.unit.actor_server.conditions import idle, mixed_conditions
from tests.unit.actor_server.small_actor import small_diffusion

pytestmark = pytest.mark.unit

WINDOW = 3


class Talk:
    """One stream and what happens to it, however its passes are computed."""

    def __init__(self, stream: MotionStream, conditions: list[Condition], seed: int) -> None:
        self.stream = stream
        self.chunks: list[Floats] = []
        self._waiting = deque(conditions)
        self._chance = random.Random(seed)
        self._epoch = 0
        self._offered = 0

    def go_on(self) -> None:
        """Offer what fits, ask for a pass; now and then a flush or an interrupt comes first."""
        event = self._chance.random()
        if event < 0.1:
            # all of it, or only what an older epoch left behind
            self._offered -= self.stream.flush(self._epoch + self._chance.randrange(2))
        elif event < 0.15 and self.chunks:
            shown = len(self.chunks) - 1 - self._chance.randrange(min(3, len(self.chunks)))
            self.stream.rollback(shown)
            del self.chunks[shown + 1 :]
            self._offered = 0
        while self._waiting and self._offered < WINDOW:
            condition = self._waiting.popleft()
            self._epoch = max(self._epoch, condition.epoch)
            self.stream.offer(condition)
            self._offered += 1
        if (chunk := self.stream.next_chunk()) is not None:
            self._offered -= 1
            self.chunks.append(chunk)


@pytest.mark.parametrize("seed", range(4))
def test_calls_in_one_pass_are_the_calls_alone(seed: int) -> None:
    alone, together = (small_diffusion(4, WINDOW, batched=batched) for batched in (False, True))
    talks = []
    for motion in (alone, together):
        made = [
            Talk(
                motion.open(portrait_latent(), 10 * seed + call),
                mixed_conditions(seed + call, 40, motion.sight),
                seed + call,
            )
            for call in range(3)
        ]
        order = random.Random(seed)
        for _ in range(300):
            order.choice(made).go_on()
        talks.append(made)
    for mine, theirs in zip(*talks, strict=True):
        assert len(mine.chunks) == len(theirs.chunks) > 2
        for one, other in zip(mine.chunks, theirs.chunks, strict=True):
            assert np.abs(one - other).max() < 1e-6


def test_calls_that_go_on_together_share_their_passes() -> None:
    motion = small_diffusion(steps=4, window=1, batched=True)
    streams = [motion.open(portrait_latent(), seed) for seed in range(3)]
    computed = []
    run_pass = motion.sampler.run_pass
    motion.sampler.run_pass = lambda rows: computed.append(len(rows)) or run_pass(rows)  # type: ignore[method-assign,func-returns-value]
    for stream in streams:
        stream.offer(idle())
    for _ in range(3):
        assert [stream.next_chunk() for stream in streams] == [None] * 3
    assert all(stream.next_chunk() is not None for stream in streams)
    assert computed == [3] * 4


def test_a_chunk_that_was_made_ahead_is_not_there_until_it_is_asked_for() -> None:
    motion = small_diffusion(steps=1, window=1, batched=True)
    first, other = (motion.open(portrait_latent(), seed) for seed in range(2))
    for stream in (first, other):
        stream.offer(idle())
    assert first.next_chunk() is not None
    with pytest.raises(ChunkForgotten):
        other.rollback(0)
    assert other.flush(epoch=1) == 1
    assert other.next_chunk() is None
    other.offer(idle(epoch=1))
    assert other.next_chunk() is not None
    other.rollback(0)
    for stream in (first, other):
        stream.close()
