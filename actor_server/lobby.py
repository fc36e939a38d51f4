"""Messages that came before their session was open: held, bounded in number and time.

Speech for a session nobody has asked for yet may overtake the agent's OpenActorSession by a moment
(it comes from the Thinker on another socket): it is held for 1 s. Once the portrait is being made
ready everything is held until that is done.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from proto.message import Message

HOLD_UNKNOWN_US: Final = 1_000_000
MAX_MESSAGES: Final = 128
"""Per session: ten seconds of speech in parts and as many listening blocks."""
MAX_SESSIONS: Final = 64


@dataclass
class _Waiting:
    """Messages of one session in order of arrival; `since_us` None once it is being opened."""

    since_us: int | None
    held: deque[tuple[Message, bytes]] = field(default_factory=deque)


class Lobby:
    """Holds early messages. Pure: the time is passed in."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def opening(self, session_id: str) -> None:
        """From now on hold everything for this session until `admit` or `dismiss`."""
        self._waiting.setdefault(session_id, _Waiting(None)).since_us = None

    def hold(self, message: Message, sender: bytes, now_us: int) -> bool:
        """Keep an early message; False when there is no room and it is lost."""
        self.expire(now_us)
        waiting = self._waiting.get(message.session_id)
        if waiting is None:
            if len(self._waiting) >= MAX_SESSIONS:
                return False
            waiting = self._waiting[message.session_id] = _Waiting(now_us)
        if len(waiting.held) >= MAX_MESSAGES:
            return False
        waiting.held.append((message, sender))
        return True

    def admit(self, session_id: str) -> list[tuple[Message, bytes]]:
        """The session is open: hand over what waited, in order."""
        waiting = self._waiting.pop(session_id, None)
        return [] if waiting is None else list(waiting.held)

    def dismiss(self, session_id: str) -> None:
        """The session will not open: forget what waited."""
        self._waiting.pop(session_id, None)

    def expire(self, now_us: int) -> None:
        """Forget what waited for sessions that nobody opened."""
        late = [
            session_id
            for session_id, waiting in self._waiting.items()
            if waiting.since_us is not None and now_us - waiting.since_us > HOLD_UNKNOWN_US
        ]
        for session_id in late:
            del self._waiting[session_id]
