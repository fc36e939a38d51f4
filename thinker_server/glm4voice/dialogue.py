"""One conversation as GLM-4-Voice reads it: what was said, answers only as far as they were heard.

Answers stay the tokens that the model made, so that its cache stays true from turn to turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from proto.messages import HistoryTurn
from thinker_server.glm4voice.hearing import SpeechHearing
from thinker_server.glm4voice.prompt import PromptBuilder, Speech
from thinker_server.glm4voice.tokenizer import GlmTokenizer
from thinker_server.hearing.recogniser import HearingStream
from thinker_server.seeing.eyes import as_said

QUESTION_TOKENS = 256
"""Room left for the next question when what is known is read ahead of it: 20 s of speech."""


@dataclass
class GlmExchange:
    """One question and its answer. `heard_tokens` is set by an interrupt: what follows is void."""

    turn: int
    question: list[str | Speech] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)
    audio_tokens: int = 0
    heard_tokens: int | None = None

    @property
    def asked(self) -> bool:
        """Whether there is anything to answer."""
        return bool(self.question)

    @property
    def wants_speech(self) -> bool:
        """What was typed and what was said while typing are one question."""
        return True

    def take_in(self, text: str, stream: HearingStream) -> None:
        """The model hears for itself; what a recogniser wrote is for captions."""
        assert isinstance(stream, SpeechHearing)
        if stream.tokens:
            self.question.append(tuple(stream.tokens))

    def see(self, words: str) -> None:
        """What the caller's camera shows; the model reads it before the question."""
        self.question.insert(0, as_said(words))

    def cut(self, heard_tokens: int) -> None:
        """The caller interrupted after this many audio tokens; an earlier cut stays."""
        before = heard_tokens if self.heard_tokens is None else self.heard_tokens
        self.heard_tokens = min(heard_tokens, before)

    @property
    def unheard(self) -> bool:
        """The caller heard nothing of the answer."""
        return self.heard_tokens == 0

    def heard_answer(self, tokenizer: GlmTokenizer) -> list[int]:
        """The answer's tokens up to the last speech code that was heard."""
        if self.heard_tokens is None:
            return self.answer
        heard = 0
        for index, token_id in enumerate(self.answer):
            if heard == self.heard_tokens:
                return self.answer[:index]
            heard += tokenizer.is_code(token_id)
        return self.answer


class GlmDialogue:
    """Opening, restored history and exchanges; the oldest leave when the context is full."""

    def __init__(
        self,
        tokenizer: GlmTokenizer,
        persona: str,
        history: Sequence[HistoryTurn],
        room_tokens: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._prompts = PromptBuilder(tokenizer)
        self._persona = persona
        self._spoken: bool | None = None
        self._earlier = _questions_and_answers(history)
        self._exchanges: list[GlmExchange] = []
        self._room_tokens = room_tokens

    def add(self, exchange: GlmExchange) -> None:
        """The exchange now belongs to the conversation."""
        self._exchanges.append(exchange)

    def find(self, turn: int) -> GlmExchange | None:
        """The latest exchange of that turn."""
        return next((e for e in reversed(self._exchanges) if e.turn == turn), None)

    def known(self) -> list[int]:
        """What the model can read before the next question; the oldest leave now, not then.

        The prompt of a question of QUESTION_TOKENS begins with it, unless an interrupt comes
        between, or the first question is typed (most are spoken).
        """
        room_tokens = max(self._room_tokens // 2, self._room_tokens - QUESTION_TOKENS)
        return self._fitting(None, room_tokens)

    def prompt(self, asked: GlmExchange) -> list[int]:
        """Everything the model must read to answer the question of an exchange."""
        if self._spoken is None:
            self._spoken = any(not isinstance(part, str) for part in asked.question)
        ids = self._fitting(asked, self._room_tokens)
        while len(ids) > self._room_tokens and _shorten(asked.question):
            ids = self._ids(asked)
        return ids

    def _fitting(self, asked: GlmExchange | None, room_tokens: int) -> list[int]:
        """All tokens, without those of the oldest if they need more room.

        Down to half, not just below the limit: what stays must be read anew.
        """
        ids = self._ids(asked)
        if len(ids) > room_tokens:
            newest = asked or (self._exchanges[-1] if self._exchanges else None)
            while len(ids) > self._room_tokens // 2 and self._drop_oldest(newest):
                ids = self._ids(asked)
        return ids

    def _ids(self, asked: GlmExchange | None) -> list[int]:
        prompts = self._prompts
        ids = [*prompts.opening(self._spoken is not False, self._persona), *self._restored()]
        question: list[str | Speech] = []
        for exchange in self._exchanges:
            if exchange is asked or not exchange.asked:
                continue
            question += exchange.question
            if exchange.unheard:
                continue  # a question whose answer was not heard is asked with the next one
            ids += prompts.question(question)
            ids += prompts.answer(exchange.heard_answer(self._tokenizer))
            question = []
        if asked is None:
            return ids  # a question whose answer was not heard is read with the next one
        return [*ids, *prompts.question([*question, *asked.question]), *prompts.answer_begins()]

    def _restored(self) -> list[int]:
        ids: list[int] = []
        for question, answer in self._earlier:
            ids += self._prompts.question([question])
            ids += self._prompts.written_answer(answer)
        return ids

    def _drop_oldest(self, newest: GlmExchange | None) -> bool:
        """Forget the oldest question and its answer; False when nothing is left to forget."""
        if self._earlier:
            self._earlier = self._earlier[1:]
            return True
        if not self._exchanges or self._exchanges[0] is newest:
            return False
        self._exchanges = self._exchanges[1:]
        return True


def _questions_and_answers(history: Sequence[HistoryTurn]) -> list[tuple[str, str]]:
    """Pairs: questions without an answer are asked with the next one, stray answers dropped."""
    pairs: list[tuple[str, str]] = []
    question: list[str] = []
    for turn in history:
        text = turn.text.strip()
        if turn.role == "user" and text:
            question.append(text)
        elif turn.role == "assistant" and text and question:
            pairs.append((" ".join(question), text))
            question = []
    return pairs


def _shorten(question: list[str | Speech]) -> bool:
    """Halve the longest part, keeping its end; False when nothing can go any more."""
    index = max(range(len(question)), key=lambda i: len(question[i]), default=None)
    if index is None or len(question[index]) < 2:
        return False
    question[index] = question[index][len(question[index]) // 2 :]
    return True
