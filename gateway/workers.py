"""Which agent workers take calls, and how many each: they tell every few seconds."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.room_agent.announcement import EVERY_S, Announcement

GONE_S: Final = 12 * EVERY_S
"""A worker that was not heard of for so long is gone."""


@dataclass
class Workers:
    """The clock is a parameter for tests; it counts seconds, monotonically."""

    clock_s: Callable[[], float] = time.monotonic
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """One has just begun to take calls."""
    _heard: dict[str, tuple[Announcement, float]] = field(default_factory=dict)

    def hear(self, worker: Announcement) -> None:
        """One that LiveKit registered anew may be given what no other took."""
        known = self._heard.get(worker.name)
        if known is None or known[0].registration != worker.registration:
            self.came.set()
        self._heard[worker.name] = (worker, self.clock_s())

    @property
    def present(self) -> list[Announcement]:
        """What each of them told last."""
        heard_since_s = self.clock_s() - GONE_S
        self._heard = {name: one for name, one in self._heard.items() if one[1] > heard_since_s}
        return [worker for worker, _ in self._heard.values()]
