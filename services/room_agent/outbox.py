"""What waits to be sent to an engine: bounded, in order, and media gives way to commands. Pure."""

import asyncio
from collections import deque

from proto.message import Message
from proto.messages import Listen, UserAudio, UserFrame

MEDIA = (UserAudio, UserFrame, Listen)
"""Worthless late. Everything else is a command: who misses one is in another call than the rest."""


class Outbox:
    """Holds at most `size` messages."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[Message] = deque()
        self._filled = asyncio.Event()
        self.dropped = 0
        """Media that did not fit."""

    def put(self, message: Message) -> bool:
        """Queue a message, if need be instead of the oldest media; False: a command has no room."""
        if len(self._waiting) >= self._size and not self._make_room(message):
            return isinstance(message, MEDIA)
        self._waiting.append(message)
        self._filled.set()
        return True

    async def get(self) -> Message:
        """The next message, once there is one."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()

    def _make_room(self, message: Message) -> bool:
        """For a command. New media would come as late as the old."""
        if isinstance(message, MEDIA):
            self.dropped += 1
            return False
        for place, waiting in enumerate(self._waiting):
            if isinstance(waiting, MEDIA):
                del self._waiting[place]
                self.dropped += 1
                return True
        return False
