"""CheckPortrait over a real socket, answered by a stand-in Actor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.portrait_check import ActorPortraitChecker
from proto.message import Message
from proto.messages import CheckPortrait, Failure, PortraitChecked
from proto.wire.curve import CurveClient, CurveServer, new_key_pair
from proto.wire.sockets import ServerSocket

pytestmark = pytest.mark.unit


@asynccontextmanager
async def actor(
    endpoint: str, answer: Message, curve: CurveServer | None = None
) -> AsyncIterator[list[CheckPortrait]]:
    asked: list[CheckPortrait] = []

    async def serve() -> None:
        peer, message = await server.recv()
        assert isinstance(message, CheckPortrait)
        asked.append(message)
        await server.send(peer, answer)

    async with ServerSocket(endpoint, curve) as server:
        task = asyncio.create_task(serve())
        yield asked
        await task


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/actor.sock"


async def test_the_actor_gets_the_file_as_it_came_and_its_verdict_returns(endpoint: str):
    verdict = PortraitChecked(session_id="p", code="no_face", hint="Turn on the light.")
    async with actor(endpoint, verdict) as asked:
        found = await ActorPortraitChecker(endpoint, 5).check(b"picture")
    assert (found.code, found.hint) == ("no_face", "Turn on the light.")
    assert asked[0].image.tobytes() == b"picture"


async def test_a_failure_of_the_actor_is_no_verdict(endpoint: str):
    failure = Failure(session_id="p", code="busy", message="too busy", retryable=True)
    async with actor(endpoint, failure):
        with pytest.raises(GatewayError, match="too busy") as refused:
            await ActorPortraitChecker(endpoint, 5).check(b"picture")
    assert refused.value.problem.status == 503


async def test_an_actor_on_another_host_is_asked_with_keys(endpoint: str):
    server_public, server_secret = new_key_pair()
    public, secret = new_key_pair()
    keys = CurveServer(server_public, server_secret, client_keys=(public,))
    verdict = PortraitChecked(session_id="p", code="blurred")
    async with actor(endpoint, verdict, keys):
        curve = CurveClient(public, secret, server_public)
        found = await ActorPortraitChecker(endpoint, 5, curve).check(b"picture")
    assert found.code == "blurred"


async def test_an_actor_that_is_not_there_is_waited_for_only_so_long(endpoint: str):
    with pytest.raises(GatewayError) as refused:
        await ActorPortraitChecker(endpoint, 0.1).check(b"picture")
    assert refused.value.problem.code == "actor_unavailable"
