"""Calls of presets with tiny random models: what they say is noise, everything else is real."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import httpx

from proto.messages import EngineStatus, Ping
from proto.wire.sockets import request
from tests.conftest import Stack, is_gone, start_stack, stop_stack
from tests.integration.room_agent.caller import Caller, Record, call, until

AGENT_WITHIN_S: Final = 60.0
ANSWER_WITHIN_S: Final = 60.0
STILL_S: Final = 2.0
NOISE_RMS: Final = 300.0
"""The tiny decoder's voice is ten times as loud, the line between replies silent."""


@contextmanager
def tiny_machine(folder: Path, preset: str) -> Iterator[Stack]:
    """The machine, as `xstreamer up --preset PRESET` starts it; nothing of it is left."""
    running = start_stack(folder, preset=preset)
    below = running.descendants()
    try:
        yield running
    finally:
        stop_stack(running)
    assert not [process for process in below if not is_gone(process)]


@asynccontextmanager
async def called(machine: Stack) -> AsyncIterator[Caller]:
    """A call to the first avatar, once its face is to be seen."""
    gateway = httpx.AsyncClient(base_url=machine.gateway_url, timeout=20, trust_env=False)
    async with gateway:
        answer = await gateway.post("/api/rooms", json={"avatar_id": "mara"})
        granted = answer.raise_for_status().json()
        async with call(granted["livekit_url"], granted["token"]) as caller:
            await until("a face", lambda: caller.record.frames, AGENT_WITHIN_S)
            await until("an avatar that listens", lambda: is_listening(caller), AGENT_WITHIN_S)
            yield caller
        (await gateway.delete(f"/api/rooms/{granted['room']}")).raise_for_status()


def is_listening(caller: Caller) -> bool:
    return caller.attribute("lk.agent.state") == "listening"


async def heard_out(caller: Caller, turns: int) -> None:
    """The answer has ended and so many turns were reported."""
    await until(f"turn {turns}", lambda: len(caller.record.turns) >= turns, ANSWER_WITHIN_S)
    await until("the end of the answer", lambda: is_listening(caller), ANSWER_WITHIN_S)
    await asyncio.sleep(STILL_S)


def noise_moments(record: Record, after: float = 0.0) -> list[float]:
    """When the avatar was heard after a moment."""
    return [at for at, rms in record.heard() if at > after and rms > NOISE_RMS]


async def until_freed(machine: Stack) -> None:
    """Both engines forget the call when its caller has left."""
    async with asyncio.timeout(ANSWER_WITHIN_S):
        while await _sessions(machine):  # noqa: ASYNC110  # the engines do not tell by themselves
            await asyncio.sleep(0.2)


async def _sessions(machine: Stack) -> int:
    """What both engines hold."""
    count = 0
    for engine in ("thinker", "actor"):
        status = await request(machine.state()[f"{engine}_endpoint"], Ping(session_id="test"), 10)
        assert isinstance(status, EngineStatus)
        count += status.sessions
    return count
