"""When things happened on the way from the caller's last word to the first speech of a reply.

Stamp names, in order: `user_speech_end` (the pause was reported, or the text arrived),
`transcript_final`, `first_token`, `first_clause` (text of the first clause is whole),
`speech_ready` (its speech exists), and `thinker_sent` on the message itself.
"""

from typing import TypeVar

from proto.message import Message
from proto.wire.clock import host, now_us

M = TypeVar("M", bound=Message)

USER_SPEECH_END = "user_speech_end"
TRANSCRIPT_FINAL = "transcript_final"
FIRST_TOKEN = "first_token"
FIRST_CLAUSE = "first_clause"
SPEECH_READY = "speech_ready"
THINKER_SENT = "thinker_sent"


class Trace:
    """The first moment of each name."""

    def __init__(self) -> None:
        self._moments: dict[str, int] = {}

    def mark(self, name: str) -> None:
        """Note that `name` happens now, if it has not happened before."""
        self._moments.setdefault(name, now_us())

    def between_s(self, start: str, end: str) -> float | None:
        """Seconds from one moment to another, when both happened."""
        if start in self._moments and end in self._moments:
            return (self._moments[end] - self._moments[start]) / 1e6
        return None

    def on(self, message: M) -> M:
        """The message with all moments so far as stamps."""
        for name, at_us in self._moments.items():
            message = message.stamped(name, at_us, host())
        return message.stamped(THINKER_SENT, now_us(), host())
