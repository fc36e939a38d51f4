"""The line to an engine on virtual time. The wire is a double; real sockets: integration tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pytest

from proto.message import Message
from proto.messages import (
    CloseSession,
    EngineStatus,
    Failure,
    Grant,
    OpenThinkerSession,
    Ping,
    SessionReady,
    TurnState,
    UserAudio,
)
from proto.time_law import HEARING_BLOCK_SAMPLES
from proto.wire.sockets import PeerBusy
from services.room_agent import engine_link
from services.room_agent.engine_link import (
    PATIENCE_TRIES,
    QUEUE_MESSAGES,
    EngineLink,
    EnginePort,
    LinkState,
)
from tests.unit.services.room_agent.fake_call import CALL
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit

SILENCE_S = 3.0
OPENING = OpenThinkerSession(
    session_id=CALL, name="Ada", voice="hibari", language="en", actor_endpoint="ipc://nowhere"
)
READY = SessionReady(session_id=CALL, engine="thinker")
STATUS = EngineStatus(
    session_id=CALL, engine="thinker", real_time_factor=0.1, queue_depth=0, sessions=1
)
LOST, OPEN, REFUSED = LinkState.LOST, LinkState.OPEN, LinkState.REFUSED


class Wire:
    """What stands for the socket, and an engine at its other end that opens sessions."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.alive = True
        self.busy = False
        self.answers: list[Message] = []
        """To the next openings; then every one is welcome."""
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._breaks: asyncio.Queue[None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def send(self, message: Message) -> None:
        if self.busy:
            raise PeerBusy("full")
        self.sent.append(message)
        if not self.alive:
            return
        if isinstance(message, Ping):
            self.say(STATUS)
        if isinstance(message, OpenThinkerSession):
            self.say(self.answers.pop(0) if self.answers else READY)

    async def recv(self) -> Message:
        return await self._incoming.get()

    async def breaks(self) -> AsyncIterator[None]:
        while True:
            yield await self._breaks.get()

    def say(self, message: Message) -> None:
        self._incoming.put_nowait(message)

    def hang_up(self) -> None:
        self._breaks.put_nowait(None)

    def of(self, kind: type[Message]) -> int:
        return sum(isinstance(message, kind) for message in self.sent)


@dataclass
class Line:
    """A running line and what came of it."""

    link: EngineLink
    wire: Wire
    states: list[LinkState] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)


@asynccontextmanager
async def line(wire: Wire | None = None) -> AsyncIterator[Line]:
    wire = wire or Wire()
    states: list[LinkState] = []
    heard: list[Message] = []
    port = EnginePort("thinker", "ipc://thinker", None, SILENCE_S)
    link = EngineLink(port, CALL, lambda: OPENING, heard.append, states.append)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine_link, "ClientSocket", lambda *_: wire)
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0.1)
        try:
            yield Line(link, wire, states, heard)
        finally:
            running.cancel()
            await asyncio.wait([running])


def failure(code: str, *, retryable: bool = True) -> Failure:
    return Failure(session_id=CALL, code=code, message="No.", retryable=retryable)


def audio() -> UserAudio:
    pcm = np.zeros(HEARING_BLOCK_SAMPLES, np.int16)
    return UserAudio(session_id=CALL, pts_us=0, pcm=pcm)


def grant(credit: int) -> Grant:
    return Grant(session_id=CALL, credit=credit)


def credits_of(wire: Wire) -> list[int]:
    return [message.credit for message in wire.sent if isinstance(message, Grant)]


@virtually
async def test_a_session_is_opened_when_the_engine_is_there_and_closed_at_the_end() -> None:
    async with line() as running:
        assert running.states == [OPEN]
        kinds = [type(message) for message in running.wire.sent]
        assert kinds == [Ping, CloseSession, OpenThinkerSession], "an old one may be open"
        said = TurnState(session_id=CALL, turn=1, state="thinking")
        running.wire.say(said)
        await asyncio.sleep(0.1)
        assert running.heard == [READY, said]
    assert isinstance(running.wire.sent[-1], CloseSession)


@virtually
async def test_an_engine_that_loads_is_waited_for_and_people_are_told() -> None:
    wire = Wire()
    wire.alive = False
    async with line(wire) as running:
        await asyncio.sleep(2 * SILENCE_S)
        assert running.states == [LOST]
        assert wire.of(OpenThinkerSession) == 0, "openings that wait would all be served later"
        wire.alive = True
        await asyncio.sleep(2)
        assert running.states == [LOST, OPEN]
        assert wire.of(OpenThinkerSession) == 1


@virtually
async def test_an_engine_that_falls_silent_is_given_up_and_opened_again() -> None:
    async with line() as running:
        running.wire.alive = False
        await asyncio.sleep(SILENCE_S + 2)
        assert running.states == [OPEN, LOST]
        running.wire.alive = True
        await asyncio.sleep(5)
        assert running.states == [OPEN, LOST, OPEN]


@virtually
async def test_a_broken_connection_is_noticed_at_once() -> None:
    async with line() as running:
        running.wire.hang_up()
        await asyncio.sleep(0.01)
        assert running.states == [OPEN, LOST]
        await asyncio.sleep(3)
        assert running.states == [OPEN, LOST, OPEN]


@virtually
async def test_an_engine_that_lost_the_session_is_told_of_and_opened_again() -> None:
    async with line() as running:
        lost = failure("session_unknown")
        running.wire.say(lost)
        await asyncio.sleep(0.1)
        assert running.states == [OPEN, LOST]
        assert running.heard[-1] is lost
        running.wire.say(failure("session_unknown"))
        await asyncio.sleep(3)
        assert running.states == [OPEN, LOST, OPEN]
        assert running.heard[1:] == [lost, READY], "the second answered what was on its way"


@virtually
async def test_other_failures_do_not_lose_the_session() -> None:
    async with line() as running:
        running.wire.say(failure("reply_failed"))
        await asyncio.sleep(1)
        assert running.states == [OPEN]
        assert len(running.heard) == 2


@virtually
async def test_who_is_refused_for_good_asks_no_more() -> None:
    wire = Wire()
    wire.answers = [failure("portrait_refused", retryable=False)]
    async with line(wire) as running:
        await asyncio.sleep(60)
        assert running.states == [REFUSED]
        assert wire.of(OpenThinkerSession) == 1
        assert isinstance(running.heard[-1], Failure)


@virtually
async def test_who_is_refused_for_now_asks_again_with_growing_pauses() -> None:
    wire = Wire()
    wire.answers = [failure("too_many_sessions") for _ in range(6)]
    async with line(wire) as running:
        asked: list[int] = []
        for _ in range(20):
            asked.append(wire.of(OpenThinkerSession))
            await asyncio.sleep(1)
        assert asked[3] >= 2
        assert asked[-1] == 7
        assert asked.index(7) > 9, "not all at once"
        assert running.states == [LOST, OPEN]


@virtually
async def test_an_old_session_that_is_being_closed_is_waited_for_in_silence() -> None:
    wire = Wire()
    wire.answers = [failure("session_exists") for _ in range(PATIENCE_TRIES - 1)]
    async with line(wire) as running:
        await asyncio.sleep(10)
        assert running.states == [OPEN], "nobody had to be told"
    wire = Wire()
    wire.answers = [failure("session_exists") for _ in range(PATIENCE_TRIES)]
    async with line(wire) as running:
        await asyncio.sleep(10)
        assert running.states == [LOST, OPEN]


@virtually
async def test_what_is_said_to_nobody_is_dropped() -> None:
    wire = Wire()
    wire.alive = False
    async with line(wire) as running:
        running.link.send(grant(1))
        assert running.link.dropped == 1
        wire.alive = True
        await asyncio.sleep(2)
        running.link.send(grant(2))
        await asyncio.sleep(0.1)
        assert credits_of(wire) == [2]


@virtually
async def test_a_stuck_engine_misses_media_but_no_command() -> None:
    async with line() as running:
        running.wire.busy = True
        for number in range(40):
            running.link.send(audio())
            running.link.send(grant(number + 1))
        await asyncio.sleep(0.5)
        running.wire.busy = False
        await asyncio.sleep(0.5)
        assert running.states == [OPEN]
        assert credits_of(running.wire) == list(range(1, 41))


@virtually
async def test_media_gives_way_to_commands_that_do_not_fit() -> None:
    async with line() as running:
        running.wire.busy = True
        running.link.send(grant(1))
        await asyncio.sleep(0.01)
        for _ in range(2 * QUEUE_MESSAGES):
            running.link.send(audio())
        assert running.link.dropped == QUEUE_MESSAGES
        running.link.send(grant(2))
        running.wire.busy = False
        await asyncio.sleep(0.5)
        assert credits_of(running.wire) == [1, 2]
        assert running.wire.of(UserAudio) == QUEUE_MESSAGES - 1


@virtually
async def test_an_engine_that_takes_no_commands_is_lost_and_not_told_the_old_ones() -> None:
    async with line() as running:
        running.wire.busy = True
        running.link.send(grant(1))
        await asyncio.sleep(0.1)
        for _ in range(QUEUE_MESSAGES):
            running.link.send(grant(1))
        await asyncio.sleep(0.1)
        assert running.states == [OPEN]
        running.link.send(grant(1))
        assert running.states == [OPEN], "whoever sends is not interrupted by it"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert running.states == [OPEN, LOST]
        running.wire.busy = False
        await asyncio.sleep(5)
        running.link.send(grant(9))
        await asyncio.sleep(0.1)
        assert running.states == [OPEN, LOST, OPEN]
        assert credits_of(running.wire) == [9]
