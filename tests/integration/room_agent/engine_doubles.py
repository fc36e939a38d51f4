"""A Thinker and an Actor that speak the real protocol: replies are beeps under flashes.

Each chunk of a reply begins with 160 ms of a 1-kHz tone under white frames; the rest is silent and
dark, so that what a caller receives can be checked for time and order.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from proto.message import Message
from proto.messages import (
    AVChunk,
    CloseSession,
    EngineStatus,
    Failure,
    Grant,
    HiddenChunk,
    Interrupt,
    Listen,
    Mood,
    OpenActorSession,
    OpenThinkerSession,
    Ping,
    SessionReady,
    SetMood,
    TextDelta,
    Transcript,
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
    I420_ROWS,
    SPEECH_HZ,
    TOKEN_SAMPLES,
)
from proto.wire.sockets import ClientSocket, PeerGone, ServerSocket

BEEP_SAMPLES = 2 * TOKEN_SAMPLES
FLASH_FRAMES = 4
IDLE_HOLD_S = 0.12
RENDER_S = 0.04
THINK_S = 0.1


def beep_chunk(steady: bool) -> np.ndarray:
    """One chunk of speech, (CHUNK_SAMPLES,) s16: a beep, or a tone without end."""
    seconds = np.arange(CHUNK_SAMPLES) / SPEECH_HZ
    tone = 12_000 * np.sin(2 * np.pi * 1_000 * seconds)
    if not steady:
        tone[BEEP_SAMPLES:] = 0
    return tone.astype(np.int16)


def flash_frames(flash: bool) -> np.ndarray:
    """(8, 384, 256) I420: white then dark when it flashes, else dark."""
    frames = np.full((CHUNK_FRAMES, I420_ROWS, 256), 128, np.uint8)
    frames[:, :256] = 30
    if flash:
        frames[:FLASH_FRAMES, :256] = 235
    return frames


async def tell(socket: ServerSocket, peer: bytes, message: Message) -> None:
    """Send to an agent, which may have hung up."""
    with suppress(PeerGone):
        await socket.send(peer, message)


@dataclass
class _Face:
    """What the Actor double keeps of one session."""

    peer: bytes
    epoch: int = 0
    chunk: int = 0
    credit: int = 0
    turn: int = 0
    spoken: int = 0
    speech: list[HiddenChunk] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class ActorDouble:
    """Obeys credit, epochs and interrupts like the real one; draws no face."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.faces: dict[str, _Face] = {}
        self.interrupts: list[Interrupt] = []
        self.moods: list[Mood] = []
        self.listened_tokens = 0
        self.chunks_sent = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ActorDouble"]:
        async with ServerSocket(self.endpoint) as socket:
            serving = asyncio.create_task(self._serve(socket))
            try:
                yield self
            finally:
                for face in self.faces.values():
                    if face.task is not None:
                        face.task.cancel()
                self.faces.clear()
                serving.cancel()

    async def _serve(self, socket: ServerSocket) -> None:
        while True:
            peer, message = await socket.recv()
            face = self.faces.get(message.session_id)
            match message:
                case Ping():
                    await tell(socket, peer, _status("actor", message.session_id))
                case OpenActorSession():
                    face = self.faces[message.session_id] = _Face(peer, message.epoch)
                    await tell(
                        socket, peer, SessionReady(session_id=message.session_id, engine="actor")
                    )
                    face.task = asyncio.create_task(self._render(socket, message.session_id, face))
                case CloseSession():
                    if face is not None and face.task is not None:
                        face.task.cancel()
                    self.faces.pop(message.session_id, None)
                case _ if face is not None:
                    self._deliver(face, message)

    def _deliver(self, face: _Face, message: Message) -> None:
        if isinstance(message, Grant):
            face.credit += message.credit
        elif isinstance(message, Listen):
            self.listened_tokens += len(message.features)
        elif isinstance(message, SetMood):
            self.moods.append(message.mood)
        elif message.epoch < face.epoch:
            return
        elif isinstance(message, Interrupt):
            self.interrupts.append(message)
            face.speech.clear()
            face.credit, face.chunk = 0, message.last_shown_chunk + 1
        elif isinstance(message, HiddenChunk):
            if message.turn != face.turn:
                face.speech.clear()
                face.turn, face.spoken = message.turn, 0
            face.speech.append(message)
        face.epoch = max(face.epoch, message.epoch)
        face.wake.set()

    async def _render(self, socket: ServerSocket, session_id: str, face: _Face) -> None:
        while True:
            while face.credit == 0:
                face.wake.clear()
                await face.wake.wait()
            deadline = asyncio.get_running_loop().time() + (IDLE_HOLD_S if face.chunk else 0)
            while not face.speech and face.credit:
                face.wake.clear()
                try:
                    async with asyncio.timeout_at(deadline):
                        await face.wake.wait()
                except TimeoutError:
                    break
            epoch = face.epoch
            await asyncio.sleep(RENDER_S)
            if epoch == face.epoch and face.credit:
                face.credit -= 1
                await tell(socket, face.peer, self._chunk(session_id, face))
                self.chunks_sent += 1

    def _chunk(self, session_id: str, face: _Face) -> AVChunk:
        speech = face.speech.pop(0) if face.speech else None
        tokens = 4 if speech is not None else 0
        first, face.spoken = face.spoken, face.spoken + tokens
        face.chunk += 1
        return AVChunk(
            session_id=session_id,
            epoch=face.epoch,
            chunk=face.chunk - 1,
            pts_us=(face.chunk - 1) * CHUNK_US,
            turn=face.turn,
            first_token=first,
            audio_tokens=tokens,
            last=speech is not None and speech.final,
            motion_level=0.0,
            pcm=np.zeros(CHUNK_SAMPLES, np.int16) if speech is None else speech.pcm,
            frames=flash_frames(speech is not None),
        )


class ThinkerDouble:
    """Answers every turn with `reply_chunks` beeps, one word to each."""

    def __init__(self, endpoint: str, reply_chunks: int) -> None:
        self.endpoint = endpoint
        self.reply_chunks = reply_chunks
        self.steady = False
        self.heard_blocks: dict[str, int] = {}
        self.boundaries: list[TurnBoundary] = []
        self.texts: list[UserText] = []
        self.interrupts: list[Interrupt] = []
        self.opened: list[OpenThinkerSession] = []
        self.sessions: set[str] = set()
        self._actors: dict[str, ClientSocket] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ThinkerDouble"]:
        async with ServerSocket(self.endpoint) as socket, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve(socket, tasks))
            try:
                yield self
            finally:
                serving.cancel()
                self.sessions.clear()
                for actor in self._actors.values():
                    actor.close()

    async def _serve(self, socket: ServerSocket, tasks: asyncio.TaskGroup) -> None:
        while True:
            peer, message = await socket.recv()
            session_id = message.session_id
            match message:
                case Ping():
                    await tell(socket, peer, _status("thinker", session_id))
                case OpenThinkerSession():
                    self.opened.append(message)
                    self.sessions.add(session_id)
                    self._actors[session_id] = ClientSocket(message.actor_endpoint)
                    labels = {"brain": "beeper", "voice": "tone"}
                    await tell(
                        socket,
                        peer,
                        SessionReady(session_id=session_id, engine="thinker", labels=labels),
                    )
                case CloseSession():
                    self.sessions.discard(session_id)
                    if (actor := self._actors.pop(session_id, None)) is not None:
                        actor.close()
                case _ if session_id not in self.sessions:
                    await self._refuse(socket, peer, message)
                case UserAudio():
                    self.heard_blocks[session_id] = self.heard_blocks.get(session_id, 0) + 1
                case Interrupt():
                    self.interrupts.append(message)
                case TurnBoundary():
                    self.boundaries.append(message)
                    if message.phase == "ended":
                        tasks.create_task(
                            self._reply(socket, peer, self._actors[session_id], message)
                        )
                case UserText():
                    self.texts.append(message)
                    tasks.create_task(self._reply(socket, peer, self._actors[session_id], message))

    async def _refuse(self, socket: ServerSocket, peer: bytes, message: Message) -> None:
        """A call of an earlier test, or one that was closed in between."""
        if not isinstance(message, UserAudio):
            code = "session_unknown"
            failure = Failure(
                session_id=message.session_id, code=code, message=code, retryable=True
            )
            await tell(socket, peer, failure)

    async def _reply(
        self,
        socket: ServerSocket,
        peer: bytes,
        actor: ClientSocket,
        asked: TurnBoundary | UserText,
    ) -> None:
        about: dict[str, Any] = {
            "session_id": asked.session_id,
            "epoch": asked.epoch,
            "turn": asked.turn,
        }
        if isinstance(asked, TurnBoundary):
            await tell(socket, peer, Transcript(**about, text="what I heard", final=True))
        await asyncio.sleep(THINK_S)
        await tell(socket, peer, TurnState(**about, state="speaking"))
        for index in range(self.reply_chunks):
            await tell(
                socket, peer, TextDelta(**about, text=f"word{index} ", first_token=4 * index)
            )
            await actor.send(
                HiddenChunk(
                    **about,
                    first_token=4 * index,
                    audio_tokens=4,
                    final=index == self.reply_chunks - 1,
                    pcm=beep_chunk(self.steady),
                )
            )
        await tell(
            socket, peer, TurnEnd(**about, audio_tokens=4 * self.reply_chunks, reason="completed")
        )


def _status(engine: str, session_id: str) -> EngineStatus:
    return EngineStatus.model_validate(
        {
            "session_id": session_id,
            "engine": engine,
            "real_time_factor": 0.0,
            "queue_depth": 0,
            "sessions": 1,
        }
    )
