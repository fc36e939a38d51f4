"""A face that does not move: friendly, eyes open, lips closed."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import speech_neutral_latent
from actor_server.motion.source import (
    CHUNK_LATENTS,
    Condition,
    Floats,
    Visibility,
    WindowFull,
)
from actor_server.saving import Saving

STILL_CHUNK: Final[Floats] = np.broadcast_to(speech_neutral_latent(), CHUNK_LATENTS)


@dataclass
class StillStream:
    """A MotionStream of which every chunk is alike."""

    window: int = 1
    _offered: list[Condition] = field(default_factory=list)

    def offer(self, condition: Condition) -> None:
        """Raises WindowFull when a condition is there already."""
        if self._offered:
            raise WindowFull("a condition waits already: call next_chunk first")
        self._offered.append(condition)

    def next_chunk(self) -> Floats | None:
        """The still face, where a chunk was offered."""
        return STILL_CHUNK.copy() if self._offered and self._offered.pop() else None

    def flush(self, epoch: int) -> int:
        """Drop an offered condition of an older epoch."""
        kept = [condition for condition in self._offered if condition.epoch >= epoch]
        dropped = len(self._offered) - len(kept)
        self._offered = kept
        return dropped

    def rollback(self, to_chunk: int) -> None:
        """Every chunk is as the one before."""
        self._offered.clear()

    def ease(self, saving: Saving) -> None:
        """Nothing is cheaper."""

    def close(self) -> None:
        """It holds nothing of its source."""


@dataclass(frozen=True)
class StillMotion:
    """The MotionSource of a face that does not move."""

    sight: Visibility
    label: str = "still"
    savings: tuple[Saving, ...] = ()

    def open(self, reference: Floats, seed: int) -> StillStream:
        """Whatever the portrait was."""
        return StillStream()
