"""Thinking and speaking one reply: tokens to clauses to speech to parts, each as soon as it can.

A reply is bounded in tokens and sentences (about 20 s of speech at most), so its parts are sent as
soon as they exist; the Actor renders them only against the agent's credit.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from time import monotonic

import numpy as np

from proto.message import Message
from proto.messages import TextDelta, TurnState
from thinker_server.brain.brain import ChatMessage, Conversation
from thinker_server.errors import ReplyFailed
from thinker_server.outlet import Outlet
from thinker_server.segments.segmenter import Part
from thinker_server.segments.spoken_reply import Caption, SpokenReply
from thinker_server.speaking.clauses import Clause, ClauseCutter
from thinker_server.speaking.mood import ReplyMood
from thinker_server.speaking.spoken_text import spoken_text
from thinker_server.speaking.voice import Utterance, Voice
from thinker_server.trace import FIRST_CLAUSE, FIRST_TOKEN, SPEECH_READY, Trace

log = logging.getLogger(__name__)

MAX_WAITING_CLAUSES = 4
"""The brain waits when it is this far ahead of the voice."""
_SILENT = Utterance(np.zeros(0, np.int16), (), ())


@dataclass(frozen=True)
class ReplyLimits:
    """How long a reply may get, and how long its first clause."""

    max_tokens: int
    max_sentences: int
    first_clause_words: int


@dataclass
class ReplyWork:
    """What a reply cost: for the real-time factor and the metrics."""

    tokens: int = 0
    thinking_s: float = 0.0
    voicing_s: float = 0.0


class ReplyPipeline:
    """Runs the brain and the voice of one reply side by side."""

    def __init__(
        self,
        session_id: str,
        voice: Voice,
        voicing: Executor,
        limits: ReplyLimits,
        mood: ReplyMood,
    ) -> None:
        self._session_id = session_id
        self._voice = voice
        self._voicing = voicing
        self._limits = limits
        self._mood = mood
        self._clauses: asyncio.Queue[Clause | None] = asyncio.Queue(MAX_WAITING_CLAUSES)
        self._unsaid = 0
        self.work = ReplyWork()

    async def run(
        self,
        conversation: Conversation,
        messages: Sequence[ChatMessage],
        reply: SpokenReply,
        outlet: Outlet,
        trace: Trace,
    ) -> None:
        """Think and speak until the reply is over. Raises what the brain or the voice raises."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._think(conversation, messages, reply, trace))
                tasks.create_task(self._speak(reply, outlet, trace))
        except* Exception as group:
            raise _first(group) from group

    async def _think(
        self,
        conversation: Conversation,
        messages: Sequence[ChatMessage],
        reply: SpokenReply,
        trace: Trace,
    ) -> None:
        longest_first = min(self._limits.first_clause_words, self._voice.first_clause_words)
        cutter = ClauseCutter(longest_first)
        started = monotonic()
        cut_short = False
        async with aclosing(conversation.reply(messages)) as tokens:
            async for token in tokens:
                trace.mark(FIRST_TOKEN)
                self.work.tokens += 1
                reply.write(token)
                for clause in cutter.push(token.text):
                    trace.mark(FIRST_CLAUSE)
                    await self._clauses.put(clause)
                cut_short = self.work.tokens >= self._limits.max_tokens
                if cut_short or cutter.sentences >= self._limits.max_sentences:
                    break
        self.work.thinking_s = monotonic() - started
        if cutter.sentences < self._limits.max_sentences and not (cut_short and cutter.clauses):
            for clause in cutter.finish():  # half a sentence is better than nothing at all
                trace.mark(FIRST_CLAUSE)
                await self._clauses.put(clause)
        await self._clauses.put(None)

    async def _speak(self, reply: SpokenReply, outlet: Outlet, trace: Trace) -> None:
        loop = asyncio.get_running_loop()
        while (clause := await self._clauses.get()) is not None:
            captions, parts = await loop.run_in_executor(
                self._voicing, self._voice_clause, clause, reply
            )
            trace.mark(SPEECH_READY)
            await self._send(captions, parts, outlet, trace)
        last = await loop.run_in_executor(self._voicing, lambda: list(reply.end()))
        await self._send([], last, outlet, trace)
        if self._unsaid and not reply.audio_tokens:
            raise ReplyFailed("The voice could not say the answer. Please ask differently.")

    def _voice_clause(self, clause: Clause, reply: SpokenReply) -> tuple[list[Caption], list[Part]]:
        """In a worker thread: speech of a clause and the parts that it completes."""
        started = monotonic()
        try:
            utterance = voiced(clause, self._voice)
        except Exception:  # voices are libraries: one stumbles over numbers of 37 digits
            log.exception("a clause could not be said", extra={"characters": len(clause.text)})
            self._unsaid += 1
            utterance = _SILENT
        captions, parts = reply.speak(clause, utterance, self._mood.of(clause.text))
        ready = list(parts)
        self.work.voicing_s += monotonic() - started
        return captions, ready

    async def _send(
        self, captions: list[Caption], parts: list[Part], outlet: Outlet, trace: Trace
    ) -> None:
        for part in parts:
            if part.first_token == 0:
                await outlet.put("agent", self._speaking)
            await outlet.put("actor", partial(self._hidden_chunk, part, trace))
        for caption in captions:
            await outlet.put("agent", partial(self._text_delta, caption, trace))

    def _speaking(self, epoch: int, turn: int) -> Message:
        return TurnState(session_id=self._session_id, epoch=epoch, turn=turn, state="speaking")

    def _hidden_chunk(self, part: Part, trace: Trace, epoch: int, turn: int) -> Message:
        message = part.message(self._session_id, epoch, turn)
        return trace.on(message) if part.first_token == 0 else message

    def _text_delta(self, caption: Caption, trace: Trace, epoch: int, turn: int) -> Message:
        message = TextDelta(
            session_id=self._session_id,
            epoch=epoch,
            turn=turn,
            text=caption.text,
            first_token=caption.first_token,
        )
        return trace.on(message) if not caption.text.startswith(" ") else message


def voiced(clause: Clause, voice: Voice) -> Utterance:
    """A clause as the voice says it; silence when there is nothing to say."""
    text = spoken_text(clause.text)
    return voice.synthesise(text) if text else _SILENT


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The first plain exception in a group: the other task only followed it."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
