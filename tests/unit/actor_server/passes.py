"""A motion source that only needs several passes a chunk, half of them to save work."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from actor_server.motion.source import CHUNK_LATENTS, Condition, Floats, Visibility, WindowFull
from actor_server.saving import Saving

STILL = 0.1
"""Every number of every latent."""
SIGHT = Visibility(history_tokens=4, lookahead_tokens=2, state_width=0)


@dataclass
class PassStream:
    """Every chunk takes `passes` passes, and then a face that does not move."""

    passes: int
    window: int
    offered: list[Condition] = field(default_factory=list)
    """Every condition that was ever offered."""
    saving: Saving = Saving.NOTHING
    closed: bool = False
    rolled_back_to: int | None = None
    run: int = 0
    """Passes that were ever made."""
    _waiting: deque[Condition] = field(default_factory=deque)
    _passed: int = 0

    def offer(self, condition: Condition) -> None:
        if len(self._waiting) == self.window:
            raise WindowFull
        self.offered.append(condition)
        self._waiting.append(condition)

    def next_chunk(self) -> Floats | None:
        if not self._waiting:
            return None
        self._passed += 1
        self.run += 1
        if self._passed < self.passes // (2 if self.saving else 1):
            return None
        self._passed = 0
        self._waiting.popleft()
        return np.full(CHUNK_LATENTS, STILL, np.float32)

    def flush(self, epoch: int) -> int:
        kept = [condition for condition in self._waiting if condition.epoch >= epoch]
        dropped = len(self._waiting) - len(kept)
        self._waiting, self._passed = deque(kept), 0
        return dropped

    def rollback(self, to_chunk: int) -> None:
        self._waiting.clear()
        self._passed = 0
        self.rolled_back_to = to_chunk

    def ease(self, saving: Saving) -> None:
        self.saving = saving

    def close(self) -> None:
        self.closed = True


@dataclass
class PassMotion:
    """Opens PassStreams and remembers them."""

    passes: int = 3
    window: int = 1
    label: str = "passes"
    sight: Visibility = SIGHT
    savings: tuple[Saving, ...] = (Saving.FEWER_PASSES,)
    streams: list[PassStream] = field(default_factory=list)

    def open(self, reference: Floats, seed: int) -> PassStream:
        self.streams.append(PassStream(self.passes, self.window))
        return self.streams[-1]
