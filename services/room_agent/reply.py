"""One reply of the avatar: what the Thinker said of it, and how far it has sounded."""

from collections import deque
from dataclasses import dataclass, field

from proto.messages import AVChunk, TextDelta, TurnEnd, TurnState
from services.room_agent.turn_timing import TurnTiming


@dataclass
class Reply:
    """`turn` and `epoch` name it. Words wait until the audio token that begins them sounds."""

    turn: int
    epoch: int
    timing: TurnTiming
    said: str = ""
    expected: bool = False
    """The Thinker has begun to speak it: chunks of speech are on their way."""
    began: bool = False
    last_chunk_came: bool = False
    total_tokens: int | None = None
    touched_us: int = 0
    """When something last happened to it, for the watchdog."""
    _waiting: deque[TextDelta] = field(default_factory=deque)

    def is_of(self, message: TextDelta | TurnState | TurnEnd | AVChunk) -> bool:
        """Whether a message is about this reply, a chunk made for it, be it silent or not."""
        return message.turn == self.turn and message.epoch >= self.epoch

    def told(self, message: TextDelta | TurnState | TurnEnd, now_us: int) -> None:
        """The Thinker said something about it."""
        self.touched_us = now_us
        match message:
            case TextDelta():
                self.timing.mark("first_text_us", now_us)
                self.timing.trace(message.stamps)
                self.expected = True
                self._waiting.append(message)
            case TurnState(state="speaking"):
                self.expected = True
            case TurnEnd():
                self.total_tokens = message.audio_tokens
                self.timing.outcome = message.reason

    def came(self, chunk: AVChunk, now_us: int) -> bool:
        """A chunk that was made for it came; whether its speech begins with this one."""
        self.touched_us = now_us
        self.last_chunk_came = self.last_chunk_came or chunk.last
        if not chunk.audio_tokens or self.timing.first_chunk_us:
            return False
        self.timing.mark("first_chunk_us", now_us)
        self.timing.trace(chunk.stamps)
        return True

    def words_until(self, token: int) -> str:
        """The words that begin at or before this audio token and were not released yet."""
        released = ""
        while self._waiting and self._waiting[0].first_token <= token:
            released += self._waiting.popleft().text
        self.said += released
        return released

    @property
    def awaited(self) -> bool:
        """Nothing of it has come yet."""
        return not (self.began or self.thought)

    @property
    def silent(self) -> bool:
        """Whether the Thinker ended it without a sound."""
        return self.total_tokens == 0

    @property
    def thought(self) -> bool:
        """Whether the Thinker has done its part."""
        return self.total_tokens is not None

    def is_over(self, token: int, last: bool) -> bool:
        """Whether the token that sounds now is its last one."""
        if self.total_tokens is not None:
            return token >= self.total_tokens - 1
        return last
