"""The conversation so far, as the caller heard it: what the brain gets to read."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proto.messages import HistoryTurn
from thinker_server.brain.brain import ChatMessage
from thinker_server.hearing.recogniser import HearingStream
from thinker_server.seeing.eyes import as_said
from thinker_server.segments.spoken_reply import SpokenReply

QUESTION_TOKENS = 64
"""Room left for the next question when what is known is read ahead of it: most are shorter."""


@dataclass
class Exchange:
    """One question and its answer. `heard_tokens` is set by an interrupt: what follows is void."""

    turn: int
    user_text: str = ""
    seen: str = ""
    reply: SpokenReply = field(default_factory=SpokenReply)
    heard_tokens: int | None = None
    shortened: bool = False
    """Only the beginning of the question is read."""
    instead_of: "Exchange | None" = None
    """The one whose question this is, too; it was cut into before any of its answer was heard."""

    @property
    def asked(self) -> bool:
        """Whether there is anything to answer."""
        return bool(self.user_text)

    @property
    def wants_speech(self) -> bool:
        """A typed question is complete; a spoken one is what is heard."""
        return not self.user_text

    @property
    def audio_tokens(self) -> int:
        """Audio tokens of the answer given out so far."""
        return self.reply.audio_tokens

    def take_in(self, text: str, stream: HearingStream) -> None:
        """The chat model reads what the recogniser wrote."""
        self.user_text = text

    def see(self, words: str) -> None:
        """What the caller's camera shows; it stays with the question."""
        self.seen = words

    @property
    def question(self) -> str:
        """What the brain reads: what was seen, then what was said."""
        return f"{as_said(self.seen)} {self.user_text}" if self.seen else self.user_text

    def messages(self) -> list[ChatMessage]:
        """What was said, the answer only as far as it was heard."""
        user = [ChatMessage("user", self.question)] if self.user_text else []
        heard = self.reply.heard_text(self.heard_tokens)
        return [*user, ChatMessage("assistant", heard)] if heard else user

    def cut(self, heard_tokens: int) -> None:
        """The caller interrupted after this many audio tokens; an earlier cut stays."""
        before = heard_tokens if self.heard_tokens is None else self.heard_tokens
        self.heard_tokens = min(heard_tokens, before)


class Dialogue:
    """Opening, restored history and exchanges; the oldest leave when the context is full."""

    def __init__(
        self,
        opening: Sequence[ChatMessage],
        history: Sequence[HistoryTurn],
        count_tokens: Callable[[Sequence[ChatMessage]], int],
        room_tokens: int,
    ) -> None:
        self._opening = list(opening)
        self._earlier = [ChatMessage(turn.role, turn.text) for turn in history if turn.text.strip()]
        self._exchanges: list[Exchange] = []
        if self._earlier and self._earlier[-1].role == "user":
            asked = self._earlier.pop().text
            self._exchanges.append(Exchange(-1, user_text=asked, heard_tokens=0))
        self._count_tokens = count_tokens
        self._room_tokens = room_tokens
        self._half_tokens = (count_tokens(self._opening) + room_tokens) // 2
        """Half of what the opening leaves."""
        self._fitting(None, self._half_tokens)  # of a long history not all is read

    def add(self, exchange: Exchange) -> None:
        """The exchange now belongs to the conversation."""
        self._exchanges.append(exchange)

    def find(self, turn: int) -> Exchange | None:
        """The latest exchange of that turn."""
        return next((e for e in reversed(self._exchanges) if e.turn == turn), None)

    def take_up(self, wordless: Exchange) -> bool:
        """Give an exchange without words the question before, if nobody heard an answer to it."""
        said = (e for e in reversed(self._exchanges) if e is not wordless and e.user_text)
        before = next(said, None)
        if before is None or before.heard_tokens is None:
            return False
        if before.reply.heard_text(before.heard_tokens):
            return False
        wordless.user_text, wordless.seen, wordless.instead_of = (
            before.user_text,
            before.seen,
            before,
        )
        return True

    def prompt(self, asked: Exchange) -> list[ChatMessage]:
        """Everything the brain must read to answer the question of an exchange.

        A question that would leave no room for anything else is shortened.
        """
        self._shorten(asked)
        return self._fitting(asked, self._room_tokens)

    def known(self) -> list[ChatMessage]:
        """What the brain can read before the next question; the oldest leave now, not then.

        The prompt of a question of QUESTION_TOKENS begins with it, unless an interrupt comes
        between. A question that was never answered is read with the next one.
        """
        room_tokens = max(self._half_tokens, self._room_tokens - QUESTION_TOKENS)
        messages = self._fitting(None, room_tokens)
        return messages[:-1] if messages and messages[-1].role == "user" else messages

    def _fitting(self, asked: Exchange | None, room_tokens: int) -> list[ChatMessage]:
        """All messages, without the oldest if they need more room.

        Down to half, not just below the limit: what stays must be read anew by the brain.
        """
        messages = self._messages(asked)
        if self._count_tokens(messages) > room_tokens:
            newest = asked or (self._exchanges[-1] if self._exchanges else None)
            while self._drop_oldest(newest):
                messages = self._messages(asked)
                if self._count_tokens(messages) <= self._half_tokens:
                    break
        return messages

    def _messages(self, asked: Exchange | None) -> list[ChatMessage]:
        said = list(self._earlier)
        answered_anew = {id(e.instead_of) for e in [*self._exchanges, *([asked] if asked else [])]}
        for exchange in self._exchanges:
            if exchange is not asked and id(exchange) not in answered_anew:
                said += exchange.messages()
        question = [ChatMessage("user", asked.question)] if asked is not None else []
        return [*self._opening, *_joined([*said, *question])]

    def _shorten(self, asked: Exchange) -> None:
        def fits(characters: int) -> bool:
            text = asked.question[: len(asked.question) - len(asked.user_text) + characters]
            question = [*self._opening, ChatMessage("user", text)]
            return self._count_tokens(question) <= self._half_tokens

        if fits(len(asked.user_text)) or not fits(1):
            return
        longest = bisect_left(range(len(asked.user_text)), 1, key=lambda n: int(not fits(n))) - 1
        asked.user_text = asked.user_text[:longest]
        asked.shortened = True

    def _drop_oldest(self, newest: Exchange | None) -> bool:
        """Forget the oldest question and its answer; False when nothing is left to forget."""
        if self._earlier:
            self._earlier = _without_oldest(self._earlier)
            return True
        if not self._exchanges or self._exchanges[0] is newest:
            return False
        self._exchanges = self._exchanges[1:]
        return True


def _without_oldest(said: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Without the oldest question and what was answered to it."""
    rest = list(said[1:])
    while rest and rest[0].role == "assistant":
        rest = rest[1:]
    return rest


def _joined(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Neighbours of one role become one message: a question that was never answered stays asked."""
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = ChatMessage(message.role, f"{joined[-1].text} {message.text}")
        else:
            joined.append(message)
    return joined
