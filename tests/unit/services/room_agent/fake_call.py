"""A room and two engines in memory, for whole calls on virtual time.

The speaker keeps what really sounded and when, so tests compare the agent's accounting with it.
Reply audio carries its own position: sample value = audio token + 1.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from proto.message import Message
from proto.messages import (
    AVChunk,
    Grant,
    Interrupt,
    SessionReady,
    TextDelta,
    TurnBoundary,
    TurnEnd,
    TurnState,
    UserAudio,
    UserText,
)
from proto.time_law import (
    CHUNK_FRAMES,
    CHUNK_SAMPLES,
    CHUNK_US,
    HEARING_BLOCK_SAMPLES,
    I420_ROWS,
    SPEECH_HZ,
    TOKEN_SAMPLES,
)
from services.room_agent.call_room import RoomEvents
from services.room_agent.config import AgentConfig
from services.room_agent.ears import Models
from services.room_agent.engine_link import LinkState
from services.room_agent.engines import EngineEvents, SessionMemory
from services.room_agent.job import AvatarJob, CallJob
from services.room_agent.room_agent import RoomAgent

CALL = "call-1"
JOB = CallJob(
    call_id=CALL, avatar=AvatarJob(id="a", name="Ada", voice="hibari"), portrait_path="/nowhere"
)


def now_s() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Sounded:
    """Samples that began to sound at a moment."""

    at_s: float
    pcm: np.ndarray


class FakeSpeaker:
    """Plays in exact real time; a push returns when at most `capacity_s` waits."""

    def __init__(self, capacity_s: float) -> None:
        self.played: list[Sounded] = []
        self._capacity_s = capacity_s
        self._ends_s = 0.0
        self._cleared = asyncio.Event()
        self.overlapping = False

    async def push(self, pcm: np.ndarray) -> None:
        assert not self.overlapping, "pushes must not overlap"
        self.overlapping = True
        begins_s = max(self._ends_s, now_s())
        self._ends_s = begins_s + len(pcm) / SPEECH_HZ
        self.played.append(Sounded(begins_s, pcm))
        try:
            async with asyncio.timeout(max(0, self._ends_s - self._capacity_s - now_s())):
                self._cleared.clear()
                await self._cleared.wait()
        except TimeoutError:
            pass
        self.overlapping = False

    def clear(self) -> None:
        moment = now_s()
        kept = []
        for part in self.played:
            sounded = round((moment - part.at_s) * SPEECH_HZ)
            if sounded > 0:
                kept.append(Sounded(part.at_s, part.pcm[:sounded]))
        self.played, self._ends_s = kept, moment
        self._cleared.set()

    def speech(self) -> np.ndarray:
        """All speech that sounded, without the silence."""
        heard = np.concatenate([part.pcm for part in self.played])
        return heard[heard > 0]

    def first_speech_s(self, after_s: float = 0.0) -> float:
        """When speech began."""
        return next(p.at_s for p in self.played if p.at_s >= after_s and p.pcm.any())

    def last_speech_s(self) -> float:
        """When speech ended."""
        part = next(p for p in reversed(self.played) if p.pcm.any())
        return part.at_s + (int(np.flatnonzero(part.pcm)[-1]) + 1) / SPEECH_HZ

    def position(self, pcm_value: int) -> float:
        """When the samples with this value began to sound."""
        for part in self.played:
            if len(where := np.flatnonzero(part.pcm == pcm_value)):
                return part.at_s + int(where[0]) / SPEECH_HZ
        raise AssertionError(f"{pcm_value} never sounded")


class FakeScreen:
    """Notes when which frame was shown: luma = audio token + 1, 0 when silent."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, int]] = []

    def show(self, frame: np.ndarray) -> None:
        self.shown.append((now_s(), int(frame[0, 0])))

    def first_s(self, luma: int) -> float:
        """When a frame of this luma was first shown."""
        return next(at for at, shown in self.shown if shown == luma)


class FakeCaption:
    """The text of one segment."""

    def __init__(self) -> None:
        self.text, self.final = "", False
        self.writes: list[tuple[float, str]] = []

    async def write(self, text: str) -> None:
        self.text += text
        self.writes.append((now_s(), text))

    async def finish(self) -> None:
        self.final = True


class FakeRoom:
    """A CallRoom that remembers."""

    def __init__(self, capacity_s: float) -> None:
        self.audio = FakeSpeaker(capacity_s)
        self.video = FakeScreen()
        self.captions: dict[str, FakeCaption] = {}
        self.attributes: dict[str, str] = {}
        self.states: list[str] = []
        self.reports: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.jitter_us = 0
        self.sent_fps: float | None = None
        self.identity = "avatar-1"
        self.photo: np.ndarray | None = None

    async def join(self, events: RoomEvents, tasks: asyncio.TaskGroup) -> None:
        events.caller_came()

    def photograph(self) -> np.ndarray | None:
        return self.photo

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.attributes |= attributes
        if "lk.agent.state" in attributes:
            self.states.append(attributes["lk.agent.state"])

    async def tell_page(self, topic: str, message: str) -> None:
        content = json.loads(message)
        self.told.append((topic, content))
        if topic == "xs.turn":
            self.reports.append(content)

    async def open_caption(self, segment_id: str) -> FakeCaption:
        self.captions[segment_id] = FakeCaption()
        return self.captions[segment_id]

    async def show_user_caption(self, segment_id: str, text: str, final: bool) -> None:
        self.captions[segment_id] = caption = FakeCaption()
        caption.text, caption.final = text, final


def av_chunk(
    number: int,
    epoch: int = 0,
    turn: int = 0,
    first_token: int = 0,
    tokens: int = 0,
    last: bool = False,
) -> AVChunk:
    """A chunk whose samples and frames say which audio token they belong to."""
    pcm = np.zeros(CHUNK_SAMPLES, np.int16)
    frames = np.zeros((CHUNK_FRAMES, I420_ROWS, 256), np.uint8)
    for index in range(tokens):
        value = first_token + index + 1
        pcm[index * TOKEN_SAMPLES : (index + 1) * TOKEN_SAMPLES] = value
        frames[2 * index : 2 * index + 2] = value
    return AVChunk(
        session_id=CALL,
        epoch=epoch,
        chunk=number,
        pts_us=number * CHUNK_US,
        turn=turn,
        first_token=first_token,
        audio_tokens=tokens,
        last=last,
        motion_level=0.0,
        pcm=pcm,
        frames=frames,
    )


class FakeLine:
    """A line to an engine; `said` are the agent's messages."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.lost: list[str] = []
        self.closed = False

    def send(self, message: Message) -> None:
        self.said.append(message)

    def lose(self, reason: str) -> None:
        self.lost.append(reason)

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.closed = True

    def of(self, kind: type[Message]) -> list[Message]:
        """Messages of one kind, in order."""
        return [message for message in self.said if isinstance(message, kind)]


class FakeActor(FakeLine):
    """Renders on credit; holds idle chunks back like the real one."""

    def __init__(self, events: EngineEvents) -> None:
        super().__init__()
        self._events = events
        self._wake = asyncio.Event()
        self.epoch = self.number = self.credit = 0
        self.render_s, self.hold_s = 0.04, 0.12
        self.stall_before: dict[int, float] = {}
        self.speech: list[AVChunk] = []

    def send(self, message: Message) -> None:
        super().send(message)
        if isinstance(message, Grant):
            self.credit += message.credit
        if isinstance(message, Interrupt):
            self.credit, self.number = 0, message.last_shown_chunk + 1
            self.epoch = message.epoch
            self.speech.clear()
        self._wake.set()

    def speak(self, epoch: int, turn: int, tokens: int) -> None:
        """A reply arrives whole from the Thinker."""
        self.epoch = epoch
        self.speech = [
            av_chunk(0, epoch, turn, first, min(4, tokens - first), first + 4 >= tokens)
            for first in range(0, tokens, 4)
        ]
        self._wake.set()

    async def run(self) -> None:
        self._events.actor_state(LinkState.OPEN)
        try:
            while True:
                await self._render()
        finally:
            self.closed = True

    async def _render(self) -> None:
        while not self.credit:
            self._wake.clear()
            await self._wake.wait()
        if not self.speech and self.number:
            try:
                async with asyncio.timeout(self.hold_s):
                    while not self.speech and self.credit:
                        self._wake.clear()
                        await self._wake.wait()
            except TimeoutError:
                pass
        epoch = self.epoch
        if self.speech and (stall_s := self.stall_before.pop(self.speech[0].first_token, 0)):
            await asyncio.sleep(stall_s)
        await asyncio.sleep(self.render_s)
        if epoch != self.epoch or not self.credit:
            return
        self.credit -= 1
        chunk = self.speech.pop(0) if self.speech else av_chunk(0, epoch)
        self._events.actor_said(chunk.model_copy(update={"chunk": self.number}))
        self.number += 1


class FakeThinker(FakeLine):
    """Answers each turn with `reply_tokens` of speech, one word for each 4 tokens."""

    def __init__(self, events: EngineEvents, actor: FakeActor) -> None:
        super().__init__()
        self._events = events
        self._actor = actor
        self.think_s = 0.2
        self.reply_tokens = 40

    def send(self, message: Message) -> None:
        super().send(message)
        if isinstance(message, UserText) or (
            isinstance(message, TurnBoundary) and message.phase == "ended"
        ):
            asyncio.get_running_loop().call_later(self.think_s, self._reply, message)

    def _reply(self, asked: TurnBoundary | UserText) -> None:
        epochs = [m.epoch for m in self.of(Interrupt)]
        if any(epoch > asked.epoch for epoch in epochs):
            return
        about: dict[str, Any] = {"session_id": CALL, "epoch": asked.epoch, "turn": asked.turn}
        tell = self._events.thinker_said
        tell(TurnState(**about, state="speaking"))
        for first in range(0, self.reply_tokens, 4):
            tell(TextDelta(**about, text=f"w{first} ", first_token=first))
        tell(TurnEnd(**about, audio_tokens=self.reply_tokens, reason="completed"))
        self._actor.speak(asked.epoch, asked.turn, self.reply_tokens)

    async def run(self) -> None:
        self._events.thinker_state(LinkState.OPEN)
        self.tell_ready()
        await super().run()

    def tell_ready(self, eyes: str = "") -> None:
        """The session is open, on a Thinker that has these eyes."""
        labels = {"brain": "parrot", "eyes": eyes}
        self._events.thinker_said(SessionReady(session_id=CALL, engine="thinker", labels=labels))


class FakeEngines:
    """Both lines."""

    def __init__(self, memory: SessionMemory, events: EngineEvents) -> None:
        self.events = events
        self.actor = FakeActor(events)
        self.thinker = FakeThinker(events, self.actor)


class LoudnessModel:
    """Voice is what is not zero."""

    def predict(self, pcm: np.ndarray) -> float:
        return 0.95 if np.count_nonzero(pcm) > len(pcm) // 2 else 0.02


@dataclass
class Call:
    """A running call and its caller."""

    agent: RoomAgent
    room: FakeRoom
    engines: FakeEngines
    ended: "asyncio.Task[str]"
    _saying: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, seconds: float) -> None:
        """The microphone is silent."""
        await self._sound(seconds, 0)

    async def say(self, seconds: float) -> None:
        """The microphone hears a voice."""
        await self._sound(seconds, 1_000)

    async def _sound(self, seconds: float, level: int) -> None:
        for _ in range(round(seconds * 50)):
            await asyncio.sleep(0.02)
            self.agent.hear(np.full(HEARING_BLOCK_SAMPLES, level, np.int16))

    async def until(self, happened: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Let silent time pass until something is so."""
        for _ in range(round(timeout_s * 50)):
            if happened():
                return
            await self.listen(0.02)
        raise AssertionError("it never happened")

    def heard_blocks(self) -> int:
        """How many blocks of the caller reached the Thinker."""
        return len(self.engines.thinker.of(UserAudio))


@asynccontextmanager
async def call(job: CallJob = JOB, **settings: object) -> AsyncIterator[Call]:
    """A call that has shown its first frames."""
    config = AgentConfig.model_validate(
        {"livekit_api_key": "key", "livekit_api_secret": "secret", **settings}
    )
    room = FakeRoom(config.audio_queue_ms / 1000)
    made: list[FakeEngines] = []

    def engines(memory: SessionMemory, events: EngineEvents) -> FakeEngines:
        made.append(FakeEngines(memory, events))
        return made[0]

    agent = RoomAgent(config, job, room, Models(LoudnessModel(), None), engines)
    running = asyncio.create_task(agent.run())
    await asyncio.sleep(0)
    connected = Call(agent, room, made[0], running)
    await connected.until(lambda: room.states == ["listening"])
    yield connected
    agent.room_closed("the test is over")
    await running
