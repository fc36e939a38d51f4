"""A line to an engine over real sockets: late, dying and refusing engines."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proto.message import Message
from proto.messages import (
    EngineStatus,
    Failure,
    OpenThinkerSession,
    Ping,
    SessionReady,
    TurnBoundary,
)
from proto.wire.sockets import ServerSocket
from services.room_agent.engine_link import EngineLink, EnginePort, LinkState
from tests.integration.room_agent.engine_doubles import ThinkerDouble

pytestmark = pytest.mark.integration

OPENING = OpenThinkerSession(
    session_id="call-1", name="Ada", voice="hibari", language="en", actor_endpoint="ipc://nowhere"
)
SILENCE_S = 1.5
STARTED = TurnBoundary(session_id="call-1", phase="started", turn=1)


@dataclass
class Line:
    """A running line and what came of it."""

    link: EngineLink
    states: list[LinkState] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)


@asynccontextmanager
async def line(endpoint: str) -> AsyncIterator[Line]:
    states: list[LinkState] = []
    heard: list[Message] = []
    port = EnginePort("thinker", endpoint, None, SILENCE_S)
    link = EngineLink(port, "call-1", lambda: OPENING, heard.append, states.append)
    running = asyncio.create_task(link.run())
    try:
        yield Line(link, states, heard)
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/thinker"


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not happened():  # noqa: ASYNC110  # a poll: the test owns no event of these
            await asyncio.sleep(0.02)


async def test_an_engine_that_comes_late_is_opened_when_it_is_there(endpoint: str) -> None:
    async with line(endpoint) as made:
        await until(lambda: made.states == [LinkState.LOST])
        async with ThinkerDouble(endpoint, 1).running() as thinker:
            await until(lambda: made.states == [LinkState.LOST, LinkState.OPEN])
            assert isinstance(made.heard[-1], SessionReady)
            await asyncio.sleep(1.5)
            assert len(thinker.opened) == 1, "openings that had waited would all be served"


async def test_an_engine_that_died_gets_its_session_again(endpoint: str) -> None:
    async with line(endpoint) as made:
        async with ThinkerDouble(endpoint, 1).running():
            await until(lambda: made.states == [LinkState.OPEN])
        died = time.monotonic()
        await until(lambda: made.states[-1] is LinkState.LOST)
        assert time.monotonic() - died < SILENCE_S, "before its silence would have told"
        made.link.send(STARTED)
        assert made.link.dropped >= 1
        async with ThinkerDouble(endpoint, 1).running() as thinker:
            await until(lambda: made.states[-1] is LinkState.OPEN)
            made.link.send(STARTED)
            await until(lambda: thinker.boundaries)


async def test_what_was_on_its_way_when_an_engine_died_does_not_end_the_new_session(
    endpoint: str,
) -> None:
    opened = 0

    async def answer(socket: ServerSocket) -> None:
        nonlocal opened
        while True:
            peer, message = await socket.recv()
            match message:
                case OpenThinkerSession(session_id=session_id):
                    opened += 1
                    code = "session_unknown"
                    late = Failure(session_id=session_id, code=code, message="?", retryable=True)
                    await socket.send(peer, late)
                    ready = SessionReady(session_id=session_id, engine="thinker", labels={})
                    await socket.send(peer, ready)
                case Ping(session_id=session_id):
                    status = EngineStatus(
                        session_id=session_id,
                        engine="thinker",
                        real_time_factor=0.0,
                        queue_depth=0,
                        sessions=1,
                    )
                    await socket.send(peer, status)

    async with ServerSocket(endpoint) as socket:
        answering = asyncio.create_task(answer(socket))
        async with line(endpoint) as made:
            await until(lambda: made.states == [LinkState.OPEN])
            await asyncio.sleep(2.5)
            assert (opened, made.states) == (1, [LinkState.OPEN])
        answering.cancel()


async def test_a_call_that_was_held_up_itself_does_not_suspect_its_engine(endpoint: str) -> None:
    async with ThinkerDouble(endpoint, 1).running(), line(endpoint) as made:
        await until(lambda: made.states == [LinkState.OPEN])
        for _ in range(3):
            time.sleep(2.5)  # noqa: ASYNC251  # the whole process stands still
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.2)
        assert made.states == [LinkState.OPEN]


async def test_a_session_is_closed_when_the_call_ends(endpoint: str) -> None:
    async with ThinkerDouble(endpoint, 1).running() as thinker:
        async with line(endpoint) as made:
            await until(lambda: made.states == [LinkState.OPEN])
            assert thinker.sessions == {"call-1"}
        await until(lambda: not thinker.sessions)


@pytest.mark.parametrize(("retryable", "openings"), [(False, 1), (True, 3)])
async def test_a_refusal_is_told_and_tried_again_only_if_that_can_help(
    endpoint: str, retryable: bool, openings: int
) -> None:
    asked = 0

    async def refuse(socket: ServerSocket) -> None:
        nonlocal asked
        while True:
            peer, message = await socket.recv()
            if isinstance(message, OpenThinkerSession):
                asked += 1
            if isinstance(message, OpenThinkerSession | Ping):
                code = "language_unsupported"
                refusal = Failure(
                    session_id="call-1", code=code, message="No.", retryable=retryable
                )
                await socket.send(peer, refusal)

    async with ServerSocket(endpoint) as socket:
        refusing = asyncio.create_task(refuse(socket))
        async with line(endpoint) as made:
            await until(lambda: asked >= openings)
            await asyncio.sleep(1.5)
            assert isinstance(made.heard[0], Failure)
            assert (made.link.state is LinkState.REFUSED) is not retryable
            assert asked == openings if not retryable else asked >= openings
        refusing.cancel()
