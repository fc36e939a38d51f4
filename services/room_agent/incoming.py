"""What callers send as streams: few at a time, small, and soon over; the oldest goes first.

A client may open as many streams as it likes, never end them, and send without limit; each open
one costs the whole process a little with every event of LiveKit's.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from typing import Protocol, TypeVar

log = logging.getLogger(__name__)

MAX_STREAMS = 4
STREAM_S = 20.0

Part = TypeVar("Part", bound=Sized)
Part_co = TypeVar("Part_co", bound=Sized, covariant=True)


class Reader(Protocol[Part_co]):
    """LiveKit's text or byte stream reader. Iterating raises StreamError when it breaks off."""

    def __aiter__(self) -> AsyncIterator[Part_co]: ...

    def close(self) -> None: ...


class IncomingStreams:
    """Reads the streams of one topic."""

    def __init__(self, tasks: asyncio.TaskGroup, name: str) -> None:
        self._tasks = tasks
        self._name = name
        self._open: deque[asyncio.Task[None]] = deque()

    def take(self, reader: Reader[Part], read: Callable[[], Awaitable[None]]) -> None:
        """Read this one in a task of its own; the oldest goes when too many are open."""
        task = self._tasks.create_task(self._read(read), name=self._name)
        task.add_done_callback(lambda _: reader.close())
        self._open.append(task)
        self._open = deque(open_ for open_ in self._open if not open_.done())
        if len(self._open) > MAX_STREAMS:
            log.debug("stream dropped: too many are open", extra={"topic": self._name})
            self._open.popleft().cancel()

    async def _read(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(STREAM_S):
                await read()
        except TimeoutError:
            log.info("stream dropped: it does not end", extra={"topic": self._name})


async def parts_up_to(reader: Reader[Part], limit: int) -> list[Part]:
    """The parts of a stream until their lengths pass the limit; the last one is whole."""
    parts, length = list[Part](), 0
    async for part in reader:
        parts.append(part)
        length += len(part)
        if length > limit:
            break
    return parts
