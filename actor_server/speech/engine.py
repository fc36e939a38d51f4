"""The replies of all calls at the speech decoder: deliver, step, close. Synchronous, no clock."""

from dataclasses import dataclass

from actor_server.speech.reply import DecodedReply
from actor_server.speech.stream import SpeechDecoder
from proto.messages import HiddenChunk, Interrupt


@dataclass
class _Line:
    """What a call says. `epoch`: everything older is void."""

    epoch: int
    reply: DecodedReply | None = None


class SpeechEngine:
    """Decodes for all calls of an Actor; who has heard least of a reply comes first."""

    def __init__(self, decoder: SpeechDecoder) -> None:
        self._decoder = decoder
        self._lines: dict[str, _Line] = {}

    def deliver(self, message: HiddenChunk | Interrupt) -> None:
        """Take a part of a reply, or the news that a reply is void. Raises SpeechRefused."""
        line = self._lines.setdefault(message.session_id, _Line(message.epoch))
        if message.epoch < line.epoch:
            return
        if message.epoch > line.epoch or isinstance(message, Interrupt):
            line.epoch, line.reply = message.epoch, None
        if isinstance(message, HiddenChunk):
            if line.reply is None or line.reply.turn != message.turn:
                line.reply = DecodedReply(message, self._decoder)
            line.reply.take(message)

    def next_session(self) -> str | None:
        """Whose block comes next; None: nothing is to be done."""
        waiting = [
            (line.reply.decoded_tokens, session_id)
            for session_id, line in self._lines.items()
            if line.reply is not None and line.reply.ready
        ]
        return min(waiting)[1] if waiting else None

    def step(self, session_id: str) -> list[HiddenChunk]:
        """Decode one block of a session named by `next_session`; the parts that became whole."""
        reply = self._lines[session_id].reply
        assert reply is not None
        return reply.step()

    def break_off(self, session_id: str) -> HiddenChunk | None:
        """Give up a session's reply; the part that ends it, if there was one."""
        line = self._lines.get(session_id)
        if line is None or line.reply is None:
            return None
        ending, line.reply = line.reply.broken_off(), None
        return ending

    def close(self, session_id: str) -> None:
        """Free a session; unknown ones are gone already."""
        self._lines.pop(session_id, None)
