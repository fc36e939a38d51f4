"""One stream's chunks between noise and clean: which are in flight and how far each one is.

No tensor is computed here; `PyramidSampler` computes the passes.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from actor_server.model.layers import KeyValues

LATE_BINDING_LEVEL: Final = 0.75
"""A chunk at least this noisy may still change its condition: almost nothing is decided yet."""


@dataclass
class ChunkCondition:
    """What a chunk is told, computed once: for cross-attention keys and values (L, G, M, E), seen
    (M,) bool; moments (T or 1, C) for its tokens."""

    slots: KeyValues
    seen: Tensor
    moments: Tensor


@dataclass
class FlyingChunk:
    """A chunk on its way: latents (T, D), steps_left of N; 0 when clean."""

    index: int
    steps_left: int
    latents: Tensor
    condition: ChunkCondition


class Pyramid:
    """The window of one stream: at most `window` chunks offered and not yet clean.

    A chunk enters when the one before it has taken `stride` = ceil(steps / window) steps, so that
    one becomes clean every `stride` passes. Source: section 3.2 and appendix A.2.
    """

    def __init__(self, steps: int, window: int) -> None:
        if steps < 1 or window < 1:
            raise ValueError(f"{steps} steps in a window of {window}: both must be at least 1")
        self.steps, self.window = steps, window
        self.stride = -(-steps // window)
        self.levels = 1
        """Levels of noise that a pass takes away; more spends fewer passes and is less exact."""
        self.made = 0
        """Chunks that became clean; the index of the oldest one in flight."""
        self.flying: list[FlyingChunk] = []
        self.pending: FlyingChunk | None = None
        """The last clean chunk, until the next pass has brought it into the cache."""
        self.waiting: deque[ChunkCondition] = deque()

    @property
    def offered(self) -> int:
        """Conditions offered whose chunks are not clean."""
        return len(self.flying) + len(self.waiting)

    @property
    def entry(self) -> int | None:
        """The index of the chunk that enters with the next pass, or None."""
        ready = not self.flying or self.flying[-1].steps_left <= self.steps - self.stride
        return self.made + len(self.flying) if self.waiting and ready else None

    def enter(self, noise: Tensor) -> None:
        """Let the oldest waiting condition's chunk in, as noise (T, D)."""
        index = self.made + len(self.flying)
        self.flying.append(FlyingChunk(index, self.steps, noise, self.waiting.popleft()))

    def emit(self) -> FlyingChunk | None:
        """The oldest chunk if it has become clean; from now on it is pending."""
        if not self.flying or self.flying[0].steps_left > 0:
            return None
        self.pending = self.flying.pop(0)
        self.made += 1
        return self.pending

    def flush(self, keep: int = 0) -> int:
        """Drop what is not clean; the last `keep` conditions begin again. Returns the dropped."""
        conditions = [chunk.condition for chunk in self.flying] + list(self.waiting)
        dropped = max(0, len(conditions) - keep)
        self.flying.clear()
        self.waiting = deque(conditions[dropped:])
        return dropped

    def rebind(self, chunk: int, condition: ChunkCondition) -> bool:
        """Change the condition of `chunk` if it is still noisy enough."""
        place = chunk - self.made
        if 0 <= place < len(self.flying):
            noisy = self.flying[place].steps_left >= LATE_BINDING_LEVEL * self.steps
            if noisy:
                self.flying[place].condition = condition
            return noisy
        if len(self.flying) <= place < self.offered:
            self.waiting[place - len(self.flying)] = condition
            return True
        return False

    def rollback(self, chunks: int) -> None:
        """Forget all but the first `chunks` chunks, and everything in flight."""
        self.flush()
        if self.pending is not None and self.pending.index >= chunks:
            self.pending = None
        self.made = chunks
