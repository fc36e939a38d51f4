"""Work beside the requests, which goes on whatever befalls one round of it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

logger = logging.getLogger(__name__)
AGAIN_S: Final = 1.0
STEADY_S: Final = 10.0
"""Work that has gone on for so long since it failed has recovered."""


class Background:
    """All such work of one gateway. The clock is a parameter for tests; it counts seconds."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._failed_s: dict[str, float] = {}

    @property
    def failing(self) -> list[str]:
        """The work that failed and has not gone on for a while since, by name."""
        oldest_s = self._clock_s() - STEADY_S
        return sorted(name for name, at_s in self._failed_s.items() if at_s > oldest_s)

    async def keep_up(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Until it returns or is cancelled. What fails unforeseen is logged and begins again:
        without it the gateway would go on answering, and look after no call.
        """
        while True:
            try:
                await work()
            except Exception:
                logger.exception("background work failed, beginning again", extra={"work": name})
                self._failed_s[name] = self._clock_s()
                await asyncio.sleep(AGAIN_S)
            else:
                self._failed_s.pop(name, None)
                return
