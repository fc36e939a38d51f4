"""A motion that can be spared: the last chunk is shown on while time is short, then it goes on.

For codecs that no rules can move. The source stands still while it is spared and goes on from its
own past, which is what is to be seen: neither change is a jump.
"""

from collections import deque
from typing import Final

from actor_server.motion.source import (
    NEVER_SHOWN,
    ChunkForgotten,
    Condition,
    Floats,
    MotionSource,
    MotionStream,
    WindowFull,
)
from actor_server.saving import Saving

REMEMBERED_CHUNKS: Final = 64
"""How far back a call can go; the source may remember less."""


class HeldStream:
    """A MotionStream that from step STILL on repeats its last chunk without making another."""

    def __init__(self, moving: MotionStream) -> None:
        self._moving = moving
        self._offered: deque[Condition] = deque()
        self._still = False
        self._last: Floats | None = None
        self._chunks = self._made = 0
        """Given out, and how many of those the source made."""
        self._past: deque[int] = deque([0], maxlen=REMEMBERED_CHUNKS + 1)
        """`_made` after each chunk."""

    @property
    def window(self) -> int:
        """As many as the source takes."""
        return self._moving.window

    @property
    def _holds(self) -> bool:
        return self._still and self._last is not None

    def ease(self, saving: Saving) -> None:
        """Hold the face at STILL; milder steps are the source's."""
        held = self._holds
        self._still = saving >= Saving.STILL
        self._moving.ease(saving)
        if self._holds and not held:
            self._drop_noisy()
        elif held and not self._holds:
            for condition in self._offered:
                self._moving.offer(condition)

    def offer(self, condition: Condition) -> None:
        """Add the next chunk's condition. Raises WindowFull."""
        if not self._holds:
            self._moving.offer(condition)
        elif len(self._offered) >= self.window:
            raise WindowFull(f"{self.window} conditions wait already: call next_chunk first")
        self._offered.append(condition)

    def next_chunk(self) -> Floats | None:
        """One pass of the source, or at once the chunk before."""
        if not self._offered:
            return None
        chunk = self._last if self._holds else self._moving.next_chunk()
        if chunk is None:
            return None
        self._offered.popleft()
        self._made += not self._holds
        self._chunks += 1
        self._past.append(self._made)
        self._last = chunk
        if self._still and len(self._past) == 2:  # the first chunk is always made
            self._drop_noisy()
        return chunk

    def flush(self, epoch: int) -> int:
        """Drop offered conditions older than `epoch`; how many."""
        dropped = sum(condition.epoch < epoch for condition in self._offered)
        if not self._holds:
            self._moving.flush(epoch)
        self._offered = deque(c for c in self._offered if c.epoch >= epoch)
        return dropped

    def rollback(self, to_chunk: int) -> None:
        """Go back to the state after chunk `to_chunk`. Raises ChunkForgotten."""
        undone = self._chunks - 1 - to_chunk
        if not 0 <= undone < len(self._past):
            raise ChunkForgotten(f"chunk {to_chunk} of {self._chunks} cannot be returned to")
        self._moving.rollback(self._past[-1 - undone] - 1)
        for _ in range(undone):
            self._past.pop()
        self._offered.clear()
        self._chunks, self._made = to_chunk + 1, self._past[-1]
        if to_chunk == NEVER_SHOWN:
            self._last = None

    def close(self) -> None:
        """Close the source's stream."""
        self._moving.close()

    def _drop_noisy(self) -> None:
        if self._offered:
            self._moving.flush(max(condition.epoch for condition in self._offered) + 1)


class HeldMotion:
    """Streams of `moving` that can stand still."""

    def __init__(self, moving: MotionSource) -> None:
        self.label = moving.label
        self.sight = moving.sight
        self.savings = (*moving.savings, Saving.STILL)
        self._moving = moving

    def open(self, reference: Floats, seed: int) -> HeldStream:
        """Begin a call at the portrait."""
        return HeldStream(self._moving.open(reference, seed))
