"""One reply from transcript to last word, wanted (its outlet is released) or still speculation."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from proto.message import Message
from proto.messages import Failure, Transcript, TurnEnd, TurnState
from thinker_server.brain.brain import Conversation
from thinker_server.dialogue import Dialogue, Exchange
from thinker_server.errors import ThinkerError
from thinker_server.hearing.recogniser import Recogniser
from thinker_server.listening import ListeningTurn
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Outlet
from thinker_server.reply import ReplyLimits, ReplyPipeline
from thinker_server.speaking.voice import Voice
from thinker_server.trace import TRANSCRIPT_FINAL, Trace
from thinker_server.workers import Workers

log = logging.getLogger(__name__)

EndReason = Literal["completed", "interrupted", "empty", "failed"]


@dataclass(frozen=True)
class SessionParts:
    """What a session works with; the models are shared, conversation and dialogue are its own."""

    conversation: Conversation
    dialogue: Dialogue
    recogniser: Recogniser
    voice: Voice
    workers: Workers
    limits: ReplyLimits
    metrics: ThinkerMetrics


class Answer:
    """Makes one exchange's reply and puts every message of it into the outlet, in order."""

    def __init__(
        self, session_id: str, parts: SessionParts, exchange: Exchange, outlet: Outlet
    ) -> None:
        self.exchange = exchange
        self.outlet = outlet
        self.trace = Trace()
        self.heard_all = False
        self._session_id = session_id
        self._parts = parts

    async def make(self, listening: ListeningTurn | None) -> None:
        """Hear the turn out (typed turns have nothing to hear), think and speak."""
        try:
            if listening is not None:
                await self._hear_out(listening)
            if self.exchange.user_text:
                await self._speak()
            else:
                await self.end("empty")
        except ThinkerError as error:
            log.warning("a reply failed", extra={"session": self._session_id, "code": error.code})
            await self.outlet.put("agent", partial(self._failure, error))
            await self.end("failed")

    async def end(self, reason: EndReason) -> None:
        """Nothing more comes for this turn."""
        self._parts.metrics.turns.labels(reason=reason).inc()
        await self.outlet.put("agent", self._turn_end(reason))

    async def _hear_out(self, listening: ListeningTurn) -> None:
        self.exchange.user_text = (await listening.settle()).strip()
        self.heard_all = True
        self.trace.mark(TRANSCRIPT_FINAL)
        await self.outlet.put("agent", partial(self._transcript, self.exchange.user_text))
        if self.outlet.released:
            listening.stop()

    async def _speak(self) -> None:
        parts, exchange = self._parts, self.exchange
        await self.outlet.put("agent", self._thinking)
        pipeline = ReplyPipeline(self._session_id, parts.voice, parts.workers.voicing, parts.limits)
        prompt = parts.dialogue.prompt(exchange)
        await pipeline.run(parts.conversation, prompt, exchange.reply, self.outlet, self.trace)
        parts.metrics.replied(pipeline.work, exchange.reply.speech_us / 1e6, self.trace)
        await self.end("completed" if exchange.reply.audio_tokens else "empty")

    def _transcript(self, text: str, epoch: int, turn: int) -> Message:
        return Transcript(
            session_id=self._session_id, epoch=epoch, turn=turn, text=text, final=True
        )

    def _thinking(self, epoch: int, turn: int) -> Message:
        return TurnState(session_id=self._session_id, epoch=epoch, turn=turn, state="thinking")

    def _failure(self, error: ThinkerError, epoch: int, turn: int) -> Message:
        return Failure(
            session_id=self._session_id,
            epoch=epoch,
            code=error.code,
            message=str(error),
            retryable=error.retryable,
        )

    def _turn_end(self, reason: EndReason) -> Callable[[int, int], Message]:
        tokens = self.exchange.reply.audio_tokens
        return lambda epoch, turn: TurnEnd(
            session_id=self._session_id,
            epoch=epoch,
            turn=turn,
            audio_tokens=tokens,
            reason=reason,
        )
