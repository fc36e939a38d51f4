"""The Thinker's door: messages from agents, a task for each session, failures kept apart."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from proto.message import Message
from proto.messages import (
    CloseSession,
    EngineStatus,
    Failure,
    OpenThinkerSession,
    Ping,
    SessionReady,
    UserAudio,
    UserFrame,
)
from proto.wire.curve import CurveClient, CurveServer
from proto.wire.sockets import PeerBusy, PeerGone, ServerSocket
from thinker_server.actor_links import ActorLinks
from thinker_server.backend import Engine
from thinker_server.config import ThinkerConfig
from thinker_server.errors import SessionExists, SessionUnknown, ThinkerError, TooManySessions
from thinker_server.memory import give_back
from thinker_server.outlet import Destination
from thinker_server.session import ThinkerSession

log = logging.getLogger(__name__)

STATUS_INTERVAL_S = 5.0
TIDY_INTERVAL_S = 30.0


@dataclass
class _Call:
    """A session and who may speak to it."""

    peer: bytes
    actor_endpoint: str
    session: ThinkerSession[Any] | None = None
    closed: bool = False


class ThinkerServer:
    """Serves until cancelled."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._config = engine.config
        self._calls: dict[str, _Call] = {}

    async def serve(self) -> None:
        """Bind, then route messages; one session's failure leaves the others alone."""
        socket = ServerSocket(self._config.endpoint, _server_keys(self._config))
        async with socket as self._socket, asyncio.TaskGroup() as self._tasks:
            self._links = ActorLinks(self._tasks, _client_keys(self._config))
            self._tasks.create_task(self._watch())
            self._tasks.create_task(self._tidy())
            log.info("the Thinker is ready", extra={"endpoint": self._config.endpoint})
            try:
                while True:
                    peer, message = await socket.recv()
                    await self._route(peer, message)
            finally:
                self._links.close()

    async def _watch(self) -> None:
        """Tell each agent the load now and then; that is also how one that died is noticed."""
        while True:
            await asyncio.sleep(STATUS_INTERVAL_S)
            for session_id, call in list(self._calls.items()):
                await self._answer(call.peer, self._status(session_id))

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_INTERVAL_S)
            if self._calls:
                await asyncio.to_thread(give_back)

    async def _route(self, peer: bytes, message: Message) -> None:
        if isinstance(message, Ping):
            await self._answer(peer, self._status(message.session_id))
        elif isinstance(message, OpenThinkerSession):
            await self._open(peer, message)
        else:
            await self._pass_on(peer, message)

    async def _open(self, peer: bytes, opened: OpenThinkerSession) -> None:
        if (earlier := self._calls.get(opened.session_id)) is not None:
            # An agent that takes over asks while the dead one's session is still held here.
            await self._answer(earlier.peer, self._status(opened.session_id))
            error: ThinkerError = SessionExists(f"session {opened.session_id} is open already")
            await self._answer(peer, _failure(opened.session_id, error))
        elif len(self._calls) >= self._config.max_sessions:
            limit = self._config.max_sessions
            error = TooManySessions(
                f"all {limit} sessions are taken; try again later, or raise max_sessions in "
                "[thinker] of xstreamer.toml"
            )
            await self._answer(peer, _failure(opened.session_id, error))
        else:
            call = _Call(peer, opened.actor_endpoint)
            self._calls[opened.session_id] = call
            self._tasks.create_task(self._run(call, opened))

    async def _pass_on(self, peer: bytes, message: Message) -> None:
        call = self._calls.get(message.session_id)
        if call is None or call.peer != peer:
            if not isinstance(message, CloseSession | UserAudio | UserFrame):
                error = SessionUnknown(
                    f"no session {message.session_id} is open here; open it first"
                )
                await self._answer(peer, _failure(message.session_id, error))
            return
        if isinstance(message, CloseSession):
            self._end(call)
        elif call.session is not None:
            try:
                call.session.receive(message)
            except asyncio.QueueFull:
                log.error("a session is stuck", extra={"session": message.session_id})
                self._end(call)

    async def _run(self, call: _Call, opened: OpenThinkerSession) -> None:
        """The session boundary: whatever goes wrong inside ends here, in this session alone."""
        session_id = opened.session_id
        self._engine.metrics.sessions.inc()
        try:
            self._links.attach(session_id, call.actor_endpoint)
            call.session = await self._engine.open(opened, self._sender(call))
            ready = SessionReady(
                session_id=session_id,
                epoch=opened.epoch,
                engine="thinker",
                labels={"voice": opened.voice, **self._engine.labels()},
            )
            if call.closed:
                call.session.close()  # closed while it was opened: running frees what it holds
            else:
                await self._answer(call.peer, ready)
            await call.session.run()
        except ThinkerError as error:
            await self._answer(call.peer, _failure(session_id, error))
        except Exception:
            log.exception("a session failed", extra={"session": session_id})
            broken = ThinkerError("the Thinker failed in this call; hang up and call again")
            await self._answer(call.peer, _failure(session_id, broken))
        finally:
            self._engine.metrics.sessions.dec()
            self._calls.pop(session_id, None)
            if not self._calls:  # no reply comes that would say that there is nothing to do
                self._engine.metrics.factor.set(0)
            self._links.detach(session_id, call.actor_endpoint)

    def _end(self, call: _Call) -> None:
        call.closed = True
        if call.session is not None:
            call.session.close()

    def _sender(self, call: _Call) -> "_Sender":
        return _Sender(self, call)

    async def deliver(self, call: _Call, destination: Destination, message: Message) -> None:
        """Send for a session. A gone agent ends it; a stuck Actor loses speech."""
        if destination == "agent":
            await self._answer(call.peer, message)
            return
        try:
            await self._links.send(call.actor_endpoint, message)
        except PeerBusy:
            log.warning("the Actor takes no speech", extra={"session": message.session_id})

    async def _answer(self, peer: bytes, message: Message) -> None:
        if isinstance(message, Failure):
            self._engine.metrics.failures.labels(message.code).inc()
        try:
            await self._socket.send(peer, message)
        except PeerGone:
            call = self._calls.get(message.session_id)
            if call is not None and not call.closed:
                log.info("an agent is gone", extra={"session": message.session_id})
                self._end(call)
        except PeerBusy:
            log.warning("an agent takes no messages", extra={"session": message.session_id})

    def _status(self, session_id: str) -> EngineStatus:
        busy = sum(
            call.session is not None and call.session.state in ("thinking", "speaking")
            for call in self._calls.values()
        )
        return EngineStatus(
            session_id=session_id,
            engine="thinker",
            real_time_factor=self._engine.metrics.real_time_factor,
            queue_depth=busy,
            sessions=len(self._calls),
            labels=dict(self._engine.labels()),
        )


class _Sender:
    """A session's `Send`."""

    def __init__(self, server: ThinkerServer, call: _Call) -> None:
        self._server = server
        self._call = call

    async def __call__(self, destination: Destination, message: Message) -> None:
        await self._server.deliver(self._call, destination, message)


def _failure(session_id: str, error: ThinkerError) -> Failure:
    return Failure(
        session_id=session_id, code=error.code, message=str(error), retryable=error.retryable
    )


def _server_keys(config: ThinkerConfig) -> CurveServer | None:
    if not config.curve_secret_key.get_secret_value():
        return None
    secret = config.curve_secret_key.get_secret_value()
    return CurveServer(config.curve_public_key, secret, config.curve_client_keys)


def _client_keys(config: ThinkerConfig) -> CurveClient | None:
    if not config.actor_curve_server_key:
        return None
    secret = config.curve_secret_key.get_secret_value()
    return CurveClient(config.curve_public_key, secret, config.actor_curve_server_key)
