"""Quick stand-ins for the three models, and a session wired to them."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from proto.message import Message
from proto.messages import OpenThinkerSession, TurnBoundary, TurnEnd, UserAudio
from thinker_server.answer import SessionParts
from thinker_server.brain.brain import BrainToken, ChatMessage
from thinker_server.dialogue import Dialogue, Exchange
from thinker_server.metrics import ThinkerMetrics
from thinker_server.reply import ReplyLimits
from thinker_server.seeing.glance import Sight
from thinker_server.session import ThinkerSession
from thinker_server.speaking.voice import TimedPhone, TimedWord, Utterance
from thinker_server.workers import Workers

WORD_US = 320_000
STATE_WIDTH = 4
LIMITS = ReplyLimits(max_tokens=40, max_sentences=3, first_clause_words=9)


def tokens_of(text: str) -> list[str]:
    """Word-like tokens, each but the first with its leading blank."""
    words = text.split(" ")
    return [words[0], *(f" {word}" for word in words[1:])]


@dataclass
class ScriptedConversation:
    """Answers each prompt with the next script; `gate` holds tokens back until set.

    `warmed` is what it was to read ahead; with `warms_for_ever` it is never done with that.
    """

    scripts: list[str]
    masked: bool = False
    error: Exception | None = None
    error_after: int = 0
    prompts: list[list[ChatMessage]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    hold_after: int = 10_000
    stopped_early: int = 0
    closed: bool = False
    warmed: list[list[ChatMessage]] = field(default_factory=list)
    warms_for_ever: bool = False
    warming_fails: bool = False
    warming: int = 0

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[BrainToken, None]:
        self.prompts.append(list(messages))
        assert not self.warming, "an answer waits for what is read ahead"
        script = self.scripts[min(len(self.prompts), len(self.scripts)) - 1]
        finished = False
        try:
            for index, piece in enumerate(tokens_of(script)):
                if self.error is not None and index >= self.error_after:
                    raise self.error
                if index >= self.hold_after:
                    await self.gate.wait()
                await asyncio.sleep(0)
                state = np.full(STATE_WIDTH, index, np.float16)
                yield BrainToken(index, piece, None if self.masked else state)
            finished = True
        finally:
            self.stopped_early += not finished

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        self.warmed.append(list(messages))
        self.warming += 1
        try:
            await asyncio.sleep(3600 if self.warms_for_ever else 0)
            if self.warming_fails:
                raise RuntimeError("no memory")
        finally:
            self.warming -= 1

    async def close(self) -> None:
        self.closed = True


class EvenVoice:
    """Every word lasts WORD_US and is one AH."""

    name = "even"
    first_clause_words = 12

    def synthesise(self, text: str) -> Utterance:
        words = text.split()
        spans = [(i * WORD_US, (i + 1) * WORD_US) for i in range(len(words))]
        pcm = np.full(len(words) * WORD_US * 24 // 1000, 1000, np.int16)
        return Utterance(
            pcm,
            tuple(TimedPhone("AH", start, end) for start, end in spans),
            tuple(TimedWord(w, *span) for w, span in zip(words, spans, strict=True)),
        )


def _open_gate() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate


@dataclass
class ScriptedStream:
    """Hears its text once it has got any audio."""

    text: str
    heard_samples: int = 0
    closed: bool = False
    gate: threading.Event = field(default_factory=_open_gate)
    """A transcription waits for it."""

    def hear(self, pcm: np.ndarray) -> None:
        self.heard_samples += len(pcm)

    def transcribe(self) -> str:
        self.gate.wait(5)
        return self.text if self.heard_samples else ""

    def close(self) -> None:
        self.closed = True


@dataclass
class ScriptedRecogniser:
    """One text for each stream, in order."""

    texts: list[str]
    streams: list[ScriptedStream] = field(default_factory=list)

    def open(self) -> ScriptedStream:
        stream = ScriptedStream(self.texts[len(self.streams) % len(self.texts)])
        self.streams.append(stream)
        return stream


@dataclass
class Wired:
    """A running session, what it sent, and the doubles behind it."""

    session: ThinkerSession[Exchange]
    conversation: ScriptedConversation
    recogniser: ScriptedRecogniser
    agent: list[Message]
    actor: list[Message]

    async def until(self, kind: type[Message], count: int = 1) -> Message:
        """Wait for the count-th message of a kind to the agent."""
        async with asyncio.timeout(5):
            while len(found := [m for m in self.agent if isinstance(m, kind)]) < count:
                await asyncio.sleep(0.002)
        return found[count - 1]

    async def until_state(self, state: str) -> None:
        """Wait until the session is in a state."""
        async with asyncio.timeout(5):
            while self.session.state != state:
                await asyncio.sleep(0.002)

    async def until_prompted(self) -> None:
        """Wait until the brain was asked something."""
        async with asyncio.timeout(5):
            while not self.conversation.prompts:
                await asyncio.sleep(0.002)

    async def until_warmed(self, count: int) -> None:
        """Wait until the brain was told the count-th time what to read ahead."""
        async with asyncio.timeout(5):
            while len(self.conversation.warmed) < count:
                await asyncio.sleep(0.002)

    def talk(self, turn: int, blocks: int = 10) -> None:
        """Start a turn and give some audio."""
        self.boundary("started", turn, epoch=turn - 1)
        for block in range(blocks):
            pcm = np.ones(320, np.int16)
            self.session.receive(UserAudio(session_id="s", pts_us=block * 20_000, pcm=pcm))

    def boundary(self, phase: str, turn: int, epoch: int) -> None:
        """Report a boundary of the caller's turn."""
        message = TurnBoundary.model_validate(
            {"session_id": "s", "phase": phase, "turn": turn, "epoch": epoch}
        )
        self.session.receive(message)

    async def ask(self, turn: int) -> TurnEnd:
        """A whole spoken turn without a pause; returns how the reply ended."""
        before = len([m for m in self.agent if isinstance(m, TurnEnd)])
        self.talk(turn)
        self.boundary("ended", turn, epoch=turn)
        end = await self.until(TurnEnd, before + 1)
        assert isinstance(end, TurnEnd)
        return end


@asynccontextmanager
async def wired_session(
    conversation: ScriptedConversation,
    texts: list[str],
    limits: ReplyLimits = LIMITS,
    sight: Sight | None = None,
    *,
    mood_by_words: bool = True,
) -> AsyncIterator[Wired]:
    """A session that runs on doubles until the block ends."""
    agent: list[Message] = []
    actor: list[Message] = []

    async def send(destination: str, message: Message) -> None:
        (agent if destination == "agent" else actor).append(message)

    recogniser = ScriptedRecogniser(texts)
    workers = Workers()
    opened = OpenThinkerSession(
        session_id="s", name="Ann", voice="even", language="en", actor_endpoint="inproc://actor"
    )
    dialogue = Dialogue([ChatMessage("system", "be kind")], (), _count_words, 1000)
    parts = SessionParts(
        conversation,
        dialogue,
        recogniser,
        EvenVoice(),
        workers,
        limits,
        ThinkerMetrics(),
        sight,
        mood_by_words,
    )
    session = ThinkerSession(opened, parts, send)
    running = asyncio.create_task(session.run())
    try:
        yield Wired(session, conversation, recogniser, agent, actor)
    finally:
        session.close()
        async with asyncio.timeout(5):
            await running
        workers.close()


def _count_words(messages: Sequence[ChatMessage]) -> int:
    return sum(len(message.text.split()) for message in messages)
