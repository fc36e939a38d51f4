"""The line to one engine: opens the session, keeps it open, never blocks the call.

Outgoing messages wait in a bounded queue (`outbox.py`). When the engine is stuck media is dropped
and counted, for it is worthless late; commands wait, and when they do not fit the session is lost.
Pings notice an engine that died; a session that is lost is opened again with growing pauses.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from proto.message import Message
from proto.messages import CloseSession, EngineStatus, Failure, Ping, SessionReady
from proto.wire.curve import CurveClient
from proto.wire.sockets import ClientSocket, PeerBusy
from services.room_agent.outbox import MEDIA, Outbox

log = logging.getLogger(__name__)

QUEUE_MESSAGES = 256
BUSY_S = 0.02
"""Between two tries of a command that ZeroMQ has no room for."""
CLOSE_GRACE_S = 0.1
"""Closing drops what is queued (LINGER 0): ZeroMQ's thread gets this long for the last message."""
PING_INTERVAL_S = 1.0
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 4.0)
STEADY_S = 10.0
"""A session that lived so long was no part of a series of failures."""
LOST_SESSION_CODES = frozenset({"session_unknown", "thinker_failed", "actor_failed"})
ABOUT_THE_OLD_SESSION = frozenset({"session_unknown"})
"""Answers to what was on its way when the engine died."""
WORTH_ANOTHER_TRY = frozenset({"session_exists"})
"""An old agent's session that is just being closed."""
PATIENCE_TRIES = 3


class LinkState(StrEnum):
    """Whether the engine knows our session."""

    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True)
class EnginePort:
    """Where an engine listens, and how long it may be silent."""

    name: str
    endpoint: str
    curve: CurveClient | None
    silence_s: float


class EngineLink:
    """One engine's line in one call. `opening` makes the message that opens a session."""

    def __init__(
        self,
        port: EnginePort,
        session_id: str,
        opening: Callable[[], Message],
        on_message: Callable[[Message], None],
        on_state: Callable[[LinkState], None],
    ) -> None:
        self._port = port
        self._session_id = session_id
        self._opening = opening
        self._on_message = on_message
        self._on_state = on_state
        self._outbox = Outbox(QUEUE_MESSAGES)
        self._losses = 0
        self._lost = asyncio.Event()
        self._heard = asyncio.Event()
        self._messages_heard = 0
        self._still_exists = 0
        self._unsent = 0
        self.state = LinkState.OPENING

    @property
    def dropped(self) -> int:
        """Messages that were not sent: nobody was there, or they came too late."""
        return self._unsent + self._outbox.dropped

    def send(self, message: Message) -> None:
        """Send as soon as the session is open; dropped when it is not."""
        if self.state is not LinkState.OPEN:
            self._unsent += 1
        elif not self._outbox.put(message):
            self._unsent += 1
            # Soon: whoever sends is in the middle of something that this would undo.
            asyncio.get_running_loop().call_soon(self.lose, "it takes no commands")

    def lose(self, reason: str) -> None:
        """The session is no good any more: open another one."""
        if self.state in (LinkState.OPENING, LinkState.OPEN):
            log.warning("engine session lost", extra={"engine": self._port.name, "reason": reason})
            self._set_state(LinkState.LOST)
        self._lost.set()

    async def run(self) -> None:
        """Keep the session open until cancelled, then close it."""
        async with ClientSocket(self._port.endpoint, self._port.curve) as socket:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive(socket), name=f"{self._port.name}-receive")
                    tasks.create_task(self._send(socket), name=f"{self._port.name}-send")
                    tasks.create_task(self._ping(socket), name=f"{self._port.name}-ping")
                    tasks.create_task(self._keep_open(socket), name=f"{self._port.name}-open")
                    tasks.create_task(self._mourn(socket), name=f"{self._port.name}-breaks")
            finally:
                await self._close(socket)

    async def _keep_open(self, socket: ClientSocket) -> None:
        failures = 0
        while True:
            # Openings that wait in ZeroMQ for an engine that is away would all be served later.
            await self._wait_until_heard()
            opened_s = _now_s()
            self._lost.clear()
            if self.state is not LinkState.OPEN:
                # An agent that crashed may have left this session open.
                await self._try(socket, CloseSession(session_id=self._session_id))
                await self._try(socket, self._opening())
            await self._wait_until_lost()
            failures = 0 if _now_s() - opened_s > STEADY_S else failures + 1
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            self._heard.clear()

    async def _wait_until_heard(self) -> None:
        while not self._heard.is_set():
            try:
                async with asyncio.timeout(self._port.silence_s):
                    await self._heard.wait()
            except TimeoutError:
                self.lose("silence")

    async def _wait_until_lost(self) -> None:
        """Returns when the session must be opened again. An engine may load for minutes first.

        Silence is counted in rounds of our own: a call that was held up itself suspects nobody.
        """
        silent_s = 0.0
        while not self._lost.is_set():
            heard = self._messages_heard
            try:
                async with asyncio.timeout(PING_INTERVAL_S):
                    await self._lost.wait()
            except TimeoutError:
                quiet = self._messages_heard == heard
                silent_s = silent_s + PING_INTERVAL_S if quiet else 0.0
                if self.state is not LinkState.REFUSED and silent_s >= self._port.silence_s:
                    self.lose("silence")

    async def _mourn(self, socket: ClientSocket) -> None:
        async for _ in socket.breaks():
            self.lose("the connection broke")

    async def _receive(self, socket: ClientSocket) -> None:
        while True:
            message = await socket.recv()
            self._messages_heard += 1
            self._heard.set()
            match message:
                case SessionReady():
                    self._still_exists = 0
                    self._set_state(LinkState.OPEN)
                    self._on_message(message)
                case EngineStatus():
                    continue
                case Failure() if self.state is not LinkState.OPEN:
                    self._opening_failed(message)
                case Failure(code=code) if code in LOST_SESSION_CODES:
                    self._on_message(message)
                    self.lose(code)
                case _ if self.state is LinkState.OPEN:
                    self._on_message(message)

    def _opening_failed(self, failure: Failure) -> None:
        if failure.code in ABOUT_THE_OLD_SESSION:
            return
        if failure.code in WORTH_ANOTHER_TRY:
            self._still_exists += 1
            if self._still_exists >= PATIENCE_TRIES:
                self._set_state(LinkState.LOST)  # people are told
            self._lost.set()
            return
        if failure.retryable:
            self._set_state(LinkState.LOST)
            self._lost.set()
        else:
            self._set_state(LinkState.REFUSED)
        self._on_message(failure)  # in its own words

    async def _send(self, socket: ClientSocket) -> None:
        while True:
            if not await self._deliver(socket, await self._outbox.get()):
                self._unsent += 1

    async def _deliver(self, socket: ClientSocket, message: Message) -> bool:
        """Media at once or not at all; a command when there is room, unless its session is lost."""
        losses = self._losses
        while losses == self._losses:
            if await self._fits(socket, message):
                return True
            if isinstance(message, MEDIA):
                return False
            await asyncio.sleep(BUSY_S)
        return False

    async def _ping(self, socket: ClientSocket) -> None:
        while True:
            await self._try(socket, Ping(session_id=self._session_id))
            await asyncio.sleep(PING_INTERVAL_S)

    async def _try(self, socket: ClientSocket, message: Message) -> None:
        if not await self._fits(socket, message):
            self._unsent += 1

    async def _fits(self, socket: ClientSocket, message: Message) -> bool:
        """Send it; False where ZeroMQ has no room."""
        try:
            await socket.send(message)
        except PeerBusy:
            return False
        return True

    async def _close(self, socket: ClientSocket) -> None:
        await self._try(socket, CloseSession(session_id=self._session_id))
        await asyncio.sleep(CLOSE_GRACE_S)
        log.info("engine line closed", extra={"engine": self._port.name, "dropped": self.dropped})

    def _set_state(self, state: LinkState) -> None:
        if state is LinkState.LOST:
            self._losses += 1
            self._outbox.clear()
        if state is not self.state:
            self.state = state
            self._on_state(state)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
