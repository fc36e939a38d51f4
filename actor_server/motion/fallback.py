"""Two sources as one: a face that can be moved by cheaper means, and back, without a jump.

The cheap source makes every chunk, seen or not: it costs next to nothing, and its state is then
always that of the chunk at hand. The costly one stands still while it is spared, and goes on from
its own past. At a change the difference between the frame last shown and the frame that the new
source would have shown before is carried over and fades.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import LATENT_DIM, LIDS, MOUTH, REST
from actor_server.motion.limits import within_limits
from actor_server.motion.procedural import REMEMBERED_CHUNKS
from actor_server.motion.source import (
    ChunkForgotten,
    Condition,
    Floats,
    MotionSource,
    MotionStream,
    Visibility,
    WindowFull,
)
from actor_server.saving import Saving
from proto.time_law import CHUNK_FRAMES

SLOW_FRAMES: Final = 16
"""Head, brows and gaze: 10 degrees in 0.64 s are an ordinary turn of the head."""
FAST_FRAMES: Final = 4
"""Lips and lids must obey what is said now."""


def _fading() -> Floats:
    """What is left of a difference in each frame after the change, (SLOW_FRAMES, LATENT_DIM)."""
    lengths = np.full(LATENT_DIM, SLOW_FRAMES, np.float32)
    lengths[MOUTH] = lengths[LIDS] = lengths[REST] = FAST_FRAMES
    gone = np.clip((np.arange(SLOW_FRAMES) + 1)[:, None] / lengths, 0.0, 1.0)
    left: Floats = (1.0 - gone * gone * (3.0 - 2.0 * gone)).astype(np.float32)
    return left


_FADING: Final = _fading()


@dataclass(frozen=True)
class _Moment:
    """Where things stand after a chunk; all frames and differences are (LATENT_DIM,)."""

    cheap: Floats
    """The last frame of the cheap source, as it made it; `costly` and `shown` likewise."""
    costly: Floats
    shown: Floats
    costly_chunks: int
    """Chunks that the costly source has made."""
    eased: bool
    difference: Floats
    """What was shown before the last change less what the new source would have shown."""
    since_change: int
    """Chunks since then."""


class FallbackStream:
    """A MotionStream that obeys the laws of both of its own."""

    def __init__(
        self, costly: MotionStream, cheap: MotionStream, at: Saving, reference: Floats
    ) -> None:
        self._costly = costly
        self._cheap = cheap
        self._at = at
        self._offered: deque[Condition] = deque()
        still = np.zeros(LATENT_DIM, np.float32)
        start = _Moment(reference, reference, reference, 0, False, still, SLOW_FRAMES)
        self._chunks = 0
        self._now = start
        self._past: deque[_Moment] = deque([start], maxlen=REMEMBERED_CHUNKS)

    @property
    def window(self) -> int:
        """As many as the costly source takes."""
        return self._costly.window

    def ease(self, saving: Saving) -> None:
        """Change sources at the next chunk where that is asked for."""
        self._costly.ease(saving)
        self._turn_to(eased=saving >= self._at)

    def _turn_to(self, *, eased: bool) -> None:
        """What is in flight is made by the new source."""
        if eased == self._now.eased:
            return
        if eased:
            self._drop_noisy()
        else:
            for condition in self._offered:
                self._costly.offer(condition)
        before = self._now.cheap if eased else self._now.costly
        self._now = replace(
            self._now, eased=eased, difference=self._now.shown - before, since_change=0
        )

    def offer(self, condition: Condition) -> None:
        """Add the next chunk's condition. Raises WindowFull."""
        if not self._now.eased:
            self._costly.offer(condition)
        elif len(self._offered) >= self.window:
            raise WindowFull(f"{self.window} conditions wait already: call next_chunk first")
        self._offered.append(condition)

    def next_chunk(self) -> Floats | None:
        """One pass of the source that is seen."""
        if not self._offered:
            return None
        now = self._now
        made = None if now.eased else self._costly.next_chunk()
        if made is None and not now.eased:
            return None
        self._cheap.offer(self._offered.popleft())
        rules = self._cheap.next_chunk()
        assert rules is not None, "the cheap source needs more than one pass"
        raw = rules if made is None else made
        shown = self._joined(raw)
        self._now = replace(
            now,
            cheap=rules[-1],
            costly=now.costly if made is None else made[-1],
            shown=shown[-1],
            costly_chunks=now.costly_chunks + (made is not None),
            since_change=min(now.since_change + 1, SLOW_FRAMES),
        )
        self._chunks += 1
        self._past.append(self._now)
        return shown

    def flush(self, epoch: int) -> int:
        """Drop offered conditions older than `epoch`; how many."""
        dropped = sum(condition.epoch < epoch for condition in self._offered)
        if not self._now.eased:
            self._costly.flush(epoch)
        self._offered = deque(c for c in self._offered if c.epoch >= epoch)
        return dropped

    def rollback(self, to_chunk: int) -> None:
        """Go back to the state after chunk `to_chunk`, with the source that is wanted now."""
        undone = self._chunks - 1 - to_chunk
        if not 0 <= undone < len(self._past):
            raise ChunkForgotten(
                f"chunk {to_chunk} of {self._chunks} cannot be returned to; the last "
                f"{len(self._past) - 1} chunks are remembered"
            )
        eased = self._now.eased
        self._costly.rollback(self._past[-1 - undone].costly_chunks - 1)
        self._cheap.rollback(to_chunk)
        for _ in range(undone):
            self._past.pop()
        self._offered.clear()
        self._chunks = to_chunk + 1
        self._now = self._past[-1]
        self._turn_to(eased=eased)

    def close(self) -> None:
        """Close both."""
        self._costly.close()
        self._cheap.close()

    def _drop_noisy(self) -> None:
        if self._offered:
            self._costly.flush(max(condition.epoch for condition in self._offered) + 1)

    def _joined(self, raw: Floats) -> Floats:
        """A source's chunk (F, LATENT_DIM) with what is left of the difference at the change."""
        first = self._now.since_change * CHUNK_FRAMES
        left = _FADING[first : first + CHUNK_FRAMES]
        if not len(left):
            return raw
        return within_limits(raw + left * self._now.difference)


class FallbackMotion:
    """Streams of `costly` that from step `at` on are streams of `cheap`, made for the same sight.

    It can be the `costly` of another.
    """

    def __init__(
        self, costly: MotionSource, cheap: Callable[[Visibility], MotionSource], at: Saving
    ) -> None:
        self.label = costly.label
        self.sight = costly.sight
        self.savings = (*costly.savings, at)
        self._at = at
        self._costly = costly
        self._cheap = cheap(costly.sight)

    def open(self, reference: Floats, seed: int) -> FallbackStream:
        """Begin a call at the portrait's latent (LATENT_DIM,)."""
        cheap = self._cheap.open(reference, seed)
        return FallbackStream(self._costly.open(reference, seed), cheap, self._at, reference)
