"""One reply from transcript to last word, wanted (its outlet is released) or still speculation."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal

from proto.message import Message
from proto.messages import Failure, HiddenChunk, Transcript, TurnEnd, TurnState
from thinker_server.brain.brain import Conversation
from thinker_server.dialogue import Dialogue, Exchange
from thinker_server.errors import QuestionShortened, ReplyFailed, ThinkerError
from thinker_server.hearing.recogniser import Recogniser
from thinker_server.listening import ListeningTurn
from thinker_server.metrics import ThinkerMetrics
from thinker_server.mind import E, Mind
from thinker_server.outlet import Outlet
from thinker_server.reply import ReplyLimits, ReplyPipeline
from thinker_server.seeing.glance import Glance, Sight
from thinker_server.speaking.mood import ReplyMood
from thinker_server.speaking.voice import Voice
from thinker_server.trace import TRANSCRIPT_FINAL, Trace
from thinker_server.workers import Workers

log = logging.getLogger(__name__)

SHORTENED = "That was too much to read at once: the answer is about its beginning."
SETTLE_S = 1.0
"""A question that was cut into is transcribed to its end; what the caller says meanwhile waits."""
EndReason = Literal["completed", "interrupted", "empty", "failed"]


@dataclass(frozen=True)
class SessionParts:
    """The mind made of a recogniser, a chat model and a voice, which all sessions share.

    Conversation and dialogue are the session's own.
    """

    conversation: Conversation
    dialogue: Dialogue
    recogniser: Recogniser
    voice: Voice
    workers: Workers
    limits: ReplyLimits
    metrics: ThinkerMetrics
    sight: Sight | None = None
    mood_by_words: bool = False

    async def warm(self) -> None:
        """Let the chat model read what the next question will find."""
        await self.conversation.warm(self.dialogue.known())

    def exchange(self, turn: int, typed: str = "") -> Exchange:
        """A new exchange, with its question if it was typed."""
        return Exchange(turn, user_text=typed)

    def take_up(self, wordless: Exchange) -> bool:
        """Give it the question before, if nobody heard an answer to that."""
        return self.dialogue.take_up(wordless)

    def remember(self, exchange: Exchange) -> None:
        """The exchange now belongs to the dialogue."""
        self.dialogue.add(exchange)

    def recall(self, turn: int) -> Exchange | None:
        """The latest exchange of that turn."""
        return self.dialogue.find(turn)

    async def reply(
        self, session_id: str, exchange: Exchange, outlet: Outlet, trace: Trace
    ) -> None:
        """Think and speak."""
        mood = ReplyMood(by_words=self.mood_by_words)
        pipeline = ReplyPipeline(session_id, self.voice, self.workers.voicing, self.limits, mood)
        prompt = self.dialogue.prompt(exchange)
        if exchange.shortened:
            await outlet.put("agent", partial(_told, session_id, QuestionShortened(SHORTENED)))
        await pipeline.run(self.conversation, prompt, exchange.reply, outlet, trace)
        self.metrics.replied(pipeline.work, exchange.reply.speech_us / 1e6, trace)

    async def close(self) -> None:
        """Free the chat model's cache."""
        await self.conversation.close()


class Answer(Generic[E]):
    """Makes one exchange's reply and puts every message of it into the outlet, in order."""

    def __init__(
        self,
        session_id: str,
        mind: Mind[E],
        exchange: E,
        listening: ListeningTurn | None,
        outlet: Outlet,
        glance: Glance | None = None,
    ) -> None:
        self.exchange = exchange
        self.outlet = outlet
        self.trace = Trace()
        self.heard_all = False
        self._session_id = session_id
        self._mind = mind
        self._listening = listening
        self._glance = glance

    async def make(self) -> None:
        """Hear the turn out (typed turns have nothing to hear), think and speak."""
        try:
            if self._listening is not None:
                await self._hear_out(self._listening)
            if self.exchange.asked or self._mind.take_up(self.exchange):
                await self._speak()  # a cough is no reason to leave a question unanswered
            else:
                await self.end("empty")
        except ThinkerError as error:
            log.warning("a reply failed", extra={"session": self._session_id, "code": error.code})
            await self._fail(error)
        except Exception:  # the reply boundary: one answer's fault ends that answer
            log.exception("a reply failed", extra={"session": self._session_id})
            await self._fail(ReplyFailed("This answer could not be made. Please ask differently."))

    async def _fail(self, error: ThinkerError) -> None:
        await self.outlet.put("agent", partial(self._failure, error))
        if self.outlet.speaks:
            await self.outlet.put("actor", self._close_speech)
        await self.end("failed")

    async def end(self, reason: EndReason, *, hear_out: bool = True) -> None:
        """Nothing more comes for this turn. `hear_out`: but what was asked is still of use."""
        if reason == "interrupted" and hear_out and not self.heard_all:
            await self._keep_what_was_heard()
        self._leave_listening()
        self._mind.metrics.turns.labels(reason=reason).inc()
        await self.outlet.put("agent", self._turn_end(reason))

    async def _hear_out(self, listening: ListeningTurn) -> None:
        text = (await listening.settle()).strip()
        self.exchange.take_in(text, listening.stream)
        self.heard_all = True
        self.trace.mark(TRANSCRIPT_FINAL)
        await self.outlet.put("agent", partial(self._transcript, text))
        self._leave_listening()

    async def _keep_what_was_heard(self) -> None:
        """The caller cut in before all of the question was transcribed: its words were said."""
        if self._listening is None:
            return
        try:
            async with asyncio.timeout(SETTLE_S):
                text = await self._listening.settle()
        except TimeoutError:
            text = self._listening.text
        text = text.strip()
        self.exchange.take_in(text, self._listening.stream)
        if text:
            await self.outlet.put("agent", partial(self._transcript, text))

    def _leave_listening(self) -> None:
        """Of a wanted answer's turn nobody else knows any more."""
        if self._listening is not None and self.outlet.released:
            self._listening.stop()

    async def _speak(self) -> None:
        await self.outlet.put("agent", self._thinking)
        if self._glance is not None:
            await self._see(self._glance)
        await self._mind.reply(self._session_id, self.exchange, self.outlet, self.trace)
        await self.end("completed" if self.exchange.audio_tokens else "empty")

    async def _see(self, glance: Glance) -> None:
        """Blind eyes do not silence the answer, but the caller is told."""
        if words := await glance.words():
            self.exchange.see(words)
        if glance.problem is not None:
            await self.outlet.put("agent", partial(self._failure, glance.problem))

    def _transcript(self, text: str, epoch: int, turn: int) -> Message:
        return Transcript(
            session_id=self._session_id, epoch=epoch, turn=turn, text=text, final=True
        )

    def _thinking(self, epoch: int, turn: int) -> Message:
        return TurnState(session_id=self._session_id, epoch=epoch, turn=turn, state="thinking")

    def _failure(self, error: ThinkerError, epoch: int, turn: int) -> Message:
        return _told(self._session_id, error, epoch, turn)

    def _close_speech(self, epoch: int, turn: int) -> Message:
        """No more speech comes: without this the Actor would wait for it with each chunk."""
        return HiddenChunk(
            session_id=self._session_id,
            epoch=epoch,
            turn=turn,
            first_token=self.outlet.spoken_tokens,
            audio_tokens=0,
            final=True,
        )

    def _turn_end(self, reason: EndReason) -> Callable[[int, int], Message]:
        return lambda epoch, turn: TurnEnd(
            session_id=self._session_id,
            epoch=epoch,
            turn=turn,
            audio_tokens=self.outlet.spoken_tokens,
            reason=reason,
        )


def _told(session_id: str, error: ThinkerError, epoch: int, turn: int) -> Message:
    return Failure(
        session_id=session_id,
        epoch=epoch,
        code=error.code,
        message=str(error),
        retryable=error.retryable,
    )
