"""One reply of the avatar: what the Thinker said of it, and how far it has sounded."""

from collections import deque
from dataclasses import dataclass, field

from proto.messages import AVChunk, TextDelta
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

    def add_words(self, delta: TextDelta) -> None:
        """Words that will be spoken from `first_token` on."""
        self._waiting.append(delta)

    def words_until(self, token: int) -> str:
        """The words that begin at or before this audio token and were not released yet."""
        released = ""
        while self._waiting and self._waiting[0].first_token <= token:
            released += self._waiting.popleft().text
        self.said += released
        return released

    def owns(self, chunk: AVChunk) -> bool:
        """Whether the chunk carries this reply's speech."""
        return self.is_of(chunk) and chunk.audio_tokens > 0

    def is_of(self, chunk: AVChunk) -> bool:
        """Whether the chunk was made for this reply, be it silent or not."""
        return chunk.turn == self.turn and chunk.epoch >= self.epoch

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
