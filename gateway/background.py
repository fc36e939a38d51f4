"""Work beside the requests, which goes on whatever befalls one round of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

logger = logging.getLogger(__name__)
AGAIN_S: Final = 1.0


async def kept_up(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Until it returns or is cancelled. What fails unforeseen is logged and begins again: without
    it the gateway would go on answering, and look after no call.
    """
    while True:
        try:
            await work()
        except Exception:
            logger.exception("background work failed, beginning again", extra={"work": name})
            await asyncio.sleep(AGAIN_S)
        else:
            return
