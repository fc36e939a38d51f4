"""The Actor on its socket: who opened what, who must be answered, what was made.

One TaskGroup: the reader (the only one that receives), the sender (the only one that sends), the
portrait desk, the clerk that opens sessions and checks portraits, and the sweep for orphans.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from actor_server import metrics
from actor_server.callers import Caller, Callers
from actor_server.config import ActorConfig
from actor_server.engine import ActorEngine
from actor_server.errors import ActorError, SessionLimit, SessionUnknown
from actor_server.face import FaceStudio
from actor_server.lobby import Lobby
from actor_server.motion.source import MotionSource
from actor_server.portrait_desk import PortraitDesk
from actor_server.render_thread import Close, Deliver, Open, RenderThread
from actor_server.session import Pacing
from actor_server.speech.stream import SpeechDecoder
from actor_server.speech_thread import inlet
from actor_server.tally import Tally
from proto.message import Message
from proto.messages import (
    CheckPortrait,
    CloseSession,
    EngineStatus,
    Failure,
    Grant,
    HiddenChunk,
    Interrupt,
    Listen,
    OpenActorSession,
    Ping,
    PortraitChecked,
    SessionReady,
    SetMood,
)
from proto.wire.clock import now_us, stamped
from proto.wire.curve import CurveServer
from proto.wire.sockets import PeerBusy, PeerGone, ServerSocket

log = logging.getLogger(__name__)

OUTBOX_SIZE: Final = 1024
MAX_ERRANDS: Final = 32
"""Portraits being opened or checked at once; the desk serves them one by one."""
SWEEP_S: Final = 5.0


class ActorServer:
    """Serves one endpoint until cancelled."""

    def __init__(
        self,
        config: ActorConfig,
        source: MotionSource,
        studio: FaceStudio,
        speech: SpeechDecoder | None = None,
    ) -> None:
        self._config = config
        self._speech = speech
        spoken = {} if speech is None else {"speech": speech.label}
        self._labels = {"motion": source.label, "face": studio.label, **spoken}
        self._desk = PortraitDesk(studio, config.portrait_timeout_s)
        self._lobby = Lobby()
        self._callers = Callers(config.max_sessions)
        self._errands = asyncio.Semaphore(MAX_ERRANDS)
        self._outbox: asyncio.Queue[tuple[Message, bytes]] = asyncio.Queue(OUTBOX_SIZE)
        pacing = Pacing(config.idle_hold_ms * 1000, config.underrun_hold_ms * 1000)
        self._engine = ActorEngine(source, pacing, config.max_sessions, now_us, studio.savings)

    async def run(self, curve: CurveServer | None = None) -> None:
        """Bind and serve. Raises what binding raises when the endpoint is taken."""
        self._loop = asyncio.get_running_loop()
        self._render = RenderThread(self._engine, self._emit, self._ended)
        self._tally = Tally(self._render)
        self._inlet = inlet(self._speech, self._render, self._emit)
        async with ServerSocket(self._config.endpoint, curve) as socket:
            self._inlet.start()
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._tasks = tasks
                    tasks.create_task(self._desk.run(), name="portrait desk")
                    tasks.create_task(self._send(socket), name="sender")
                    tasks.create_task(self._sweep(), name="sweep")
                    tasks.create_task(self._receive(socket), name="reader")
            finally:
                await asyncio.to_thread(self._inlet.stop)

    # --- in ------------------------------------------------------------------------------------

    async def _receive(self, socket: ServerSocket) -> None:
        while True:
            peer, message = await socket.recv()
            self._callers.heard(message.session_id, peer, now_us())
            try:
                self._take(peer, message)
            except ActorError as error:
                self._fail(message.session_id, error, peer)

    def _take(self, peer: bytes, message: Message) -> None:
        match message:
            case Ping():
                self._reply(self._status(message.session_id), peer)
            case OpenActorSession():
                self._open(peer, message)
            case CheckPortrait():
                self._tasks.create_task(self._check(peer, message))
            case CloseSession():
                self._close(message.session_id)
            case HiddenChunk(first_token=0):
                self._route(peer, stamped(message, "actor_received"))
            case Grant() | Listen() | SetMood() | Interrupt() | HiddenChunk():
                self._route(peer, message)
            case _:
                raise ActorError(f"the Actor takes no {type(message).__name__}")

    def _route(self, peer: bytes, message: Message) -> None:
        caller = self._callers.get(message.session_id)
        if caller is not None and caller.ready:
            self._deliver(message, peer)
        elif caller is None and not isinstance(message, HiddenChunk):
            raise SessionUnknown(f"there is no session {message.session_id}: open it again")
        elif not self._lobby.hold(message, peer, now_us()):
            log.warning("dropped a message that came too early", extra=_where(message))

    def _deliver(self, message: Message, peer: bytes) -> None:
        if not self._inlet.post(Deliver(message, peer)):
            log.error("the rendering thread is behind: dropped a message", extra=_where(message))

    def _open(self, peer: bytes, message: OpenActorSession) -> None:
        caller = self._callers.enter(message.session_id, peer, now_us())
        self._lobby.opening(message.session_id)
        self._tasks.create_task(self._build(caller, message))

    def _close(self, session_id: str) -> None:
        self._callers.leave(session_id)
        self._lobby.dismiss(session_id)
        self._inlet.post(Close(session_id))
        metrics.SESSIONS.set(len(self._callers))
        if not len(self._callers):
            self._tally.rests()

    # --- errands at the portrait desk ------------------------------------------------------------

    async def _build(self, caller: Caller, message: OpenActorSession) -> None:
        """Make the face, then open the session, unless the agent has left in the meantime."""
        async with self._errand(caller.peer, message) as errand:
            face = await self._desk.face(message.portrait.tobytes())
            if self._callers.has(caller):
                opening = Open(caller, face, message.seed, message.epoch, self._labels)
                if not self._inlet.post(opening):
                    raise SessionLimit("the Actor has too much to do: try again later")
        if errand.failed and self._callers.has(caller):
            self._close(caller.session_id)

    async def _check(self, peer: bytes, message: CheckPortrait) -> None:
        async with self._errand(peer, message):
            verdict, crop = await self._desk.check(message.image.tobytes())
            metrics.PORTRAITS.labels(verdict.code).inc()
            self._reply(
                PortraitChecked(
                    session_id=message.session_id,
                    code=verdict.code,
                    hint=verdict.hint,
                    checks=verdict.checks,
                    crop=None if crop is None else np.frombuffer(crop, np.uint8),
                ),
                peer,
            )

    @asynccontextmanager
    async def _errand(self, peer: bytes, message: Message) -> AsyncIterator["_Errand"]:
        """One open or check; its failure is told to its asker and is never the server's."""
        errand = _Errand(failed=True)
        try:
            async with self._errands:
                yield errand
            errand.failed = False
        except ActorError as error:
            self._fail(message.session_id, error, peer)
        except Exception:  # the session boundary: one request's fault ends it
            log.exception("a portrait could not be served", extra=_where(message))
            self._fail(message.session_id, ActorError("the portrait could not be used"), peer)

    # --- out -----------------------------------------------------------------------------------

    def _emit(self, message: Message, whom: Caller | bytes) -> None:
        """From the rendering thread: a message for a session's agent or for another peer."""
        self._loop.call_soon_threadsafe(self._emitted, message, whom)

    def _ended(self, caller: Caller) -> None:
        """From the rendering thread: the session is over."""
        self._loop.call_soon_threadsafe(self._close_ended, caller)

    def _close_ended(self, caller: Caller) -> None:
        if self._callers.has(caller):
            self._close(caller.session_id)

    def _emitted(self, message: Message, whom: Caller | bytes) -> None:
        if isinstance(whom, Caller):
            if not self._callers.has(whom):
                return  # closed, and perhaps opened again, while this was made
            if isinstance(message, SessionReady):
                self._admit(whom)
        self._tally.made(message)
        self._reply(message, whom.peer if isinstance(whom, Caller) else whom)

    def _admit(self, caller: Caller) -> None:
        caller.ready = True
        metrics.OPEN_SECONDS.observe((now_us() - caller.opened_us) / 1e6)
        metrics.SESSIONS.set(len(self._callers))
        for held, sender in self._lobby.admit(caller.session_id):
            self._deliver(held, sender)

    def _reply(self, message: Message, peer: bytes) -> None:
        try:
            self._outbox.put_nowait((message, peer))
        except asyncio.QueueFull:
            log.error("the outbox is full: dropped a message", extra=_where(message))

    def _fail(self, session_id: str, error: ActorError, peer: bytes) -> None:
        metrics.FAILURES.labels(error.code).inc()
        self._reply(
            Failure(
                session_id=session_id,
                code=error.code,
                message=str(error),
                retryable=error.retryable,
            ),
            peer,
        )

    async def _send(self, socket: ServerSocket) -> None:
        while True:
            message, peer = await self._outbox.get()
            try:
                await socket.send(peer, message)
            except (PeerGone, PeerBusy) as error:
                self._lost(message.session_id, peer, error)

    def _lost(self, session_id: str, peer: bytes, error: ConnectionError) -> None:
        """An agent that is gone, or does not take what it granted, has no call any more."""
        caller = self._callers.get(session_id)
        if caller is not None and caller.peer == peer:
            log.warning("the agent is gone", extra={"session": session_id, "why": repr(error)})
            self._close(session_id)

    async def _sweep(self) -> None:
        """Close sessions whose agent fell silent; watch the threads."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if not self._inlet.alive:
                raise RuntimeError("a thread of the Actor ended: the Actor must be restarted")
            self._lobby.expire(now_us())
            oldest_us = now_us() - int(self._config.orphan_after_s * 1e6)
            for session_id in self._callers.silent_since(oldest_us):
                log.warning("closed an orphaned session", extra={"session": session_id})
                self._close(session_id)

    def _status(self, session_id: str) -> EngineStatus:
        load = self._render.load
        step = load.degradation
        return EngineStatus(
            session_id=session_id,
            engine="actor",
            real_time_factor=load.real_time_factor,
            queue_depth=load.queue_depth,
            sessions=len(self._callers),
            degradation_step=step,
            labels=self._labels | ({"saving": step.label} if step else {}),
        )


@dataclass
class _Errand:
    """Whether an errand at the portrait desk came to nothing."""

    failed: bool


def _where(message: Message) -> dict[str, str]:
    return {"session": message.session_id, "kind": type(message).__name__}
