"""The Thinker's door, with sessions that do nothing."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proto.message import Message
from proto.messages import CloseSession, EngineStatus, OpenThinkerSession, Ping, SessionReady
from proto.wire.sockets import ClientSocket
from thinker_server.config import ThinkerConfig
from thinker_server.metrics import ThinkerMetrics
from thinker_server.server import ThinkerServer

pytestmark = pytest.mark.unit


class QuietEngine:
    """Its sessions wait to be closed."""

    def __init__(self, folder: Path) -> None:
        self.config = ThinkerConfig(endpoint=f"ipc://{folder}/t")
        self.metrics = ThinkerMetrics()

    async def open(self, *_: object) -> Any:
        over = asyncio.Event()
        return SimpleNamespace(run=over.wait, close=over.set, state="listening")

    def labels(self) -> dict[str, str]:
        return {}


async def ask(socket: ClientSocket, message: Message) -> Message:
    await socket.send(message)
    async with asyncio.timeout(5):
        return await socket.recv()


async def sessions_are(socket: ClientSocket, number: int) -> EngineStatus:
    async with asyncio.timeout(5):
        while True:
            status = await ask(socket, Ping(session_id="p"))
            assert isinstance(status, EngineStatus)
            if status.sessions == number:
                return status


async def test_when_the_last_call_has_ended_nothing_is_said_to_be_overloaded(
    tmp_path: Path,
) -> None:
    engine = QuietEngine(tmp_path)

    def told() -> float | None:
        return engine.metrics.registry.get_sample_value("xstreamer_thinker_real_time_factor")

    serving = asyncio.create_task(ThinkerServer(engine).serve())
    try:
        async with ClientSocket(engine.config.endpoint) as agent:
            for session_id in ("a", "b"):
                opening = OpenThinkerSession(
                    session_id=session_id,
                    name="Ada",
                    voice="hibari",
                    language="en",
                    actor_endpoint=f"ipc://{tmp_path}/a",
                )
                assert isinstance(await ask(agent, opening), SessionReady)
            engine.metrics.real_time_factor = 1.2
            engine.metrics.factor.set(1.2)
            await agent.send(CloseSession(session_id="a"))
            await sessions_are(agent, 1)
            assert told() == 1.2, "another call is on"
            await agent.send(CloseSession(session_id="b"))
            status = await sessions_are(agent, 0)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
    assert told() == 0
    assert status.real_time_factor == 1.2, "what a call costs is known for the next one"
