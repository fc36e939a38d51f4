"""The way out of one reply: shut while it is speculation, stamped and open once it is wanted."""

from collections.abc import Awaitable, Callable
from typing import Literal

from proto.message import Message
from proto.messages import HiddenChunk

Destination = Literal["agent", "actor"]
Addressed = Callable[[int, int], Message]
"""Makes the message for an epoch and a turn, which speculation does not know yet."""
Send = Callable[[Destination, Message], Awaitable[None]]
MAX_WAITING = 1024
"""A reply is bounded in tokens and sentences; this is far above what it can make."""


class Outlet:
    """Keeps messages in order until `release`, then sends them and all that follow."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: list[tuple[Destination, Addressed]] = []
        self._address: tuple[int, int] | None = None
        self._flushing = False
        self.spoken_tokens = 0
        """Audio tokens that have left for the Actor."""
        self.speaks = False
        """Whether speech has left for the Actor, or will once this is released."""

    @property
    def released(self) -> bool:
        """Whether the reply is wanted."""
        return self._address is not None

    async def put(self, destination: Destination, message: Addressed) -> None:
        """Send now, or keep until released."""
        if len(self._waiting) >= MAX_WAITING:
            raise OverflowError("a speculative reply made more messages than any reply may")
        self._waiting.append((destination, message))
        self.speaks = self.speaks or destination == "actor"
        await self._flush()

    async def release(self, epoch: int, turn: int) -> None:
        """The reply is wanted, as `turn` in `epoch`: send what waits."""
        self._address = (epoch, turn)
        await self._flush()

    async def _flush(self) -> None:
        if self._address is None or self._flushing:
            return  # whoever is flushing will come to the new message too
        self._flushing = True
        try:
            while self._waiting:
                destination, addressed = self._waiting.pop(0)
                message = addressed(*self._address)
                await self._send(destination, message)
                if isinstance(message, HiddenChunk):
                    self.spoken_tokens = message.first_token + message.audio_tokens
        finally:
            self._flushing = False
