"""What the gateway tells the agent about a call."""

import asyncio

import pytest
from livekit import api
from pydantic import ValidationError

from services.room_agent.config import AgentConfig
from services.room_agent.job import AvatarJob, CallJob
from services.room_agent.portrait import (
    PortraitAway,
    PortraitMissing,
    load_portrait,
    room_token,
)

pytestmark = pytest.mark.unit

WHO = '{"id":"a","name":"A","voice":"v"}'
CONFIG = AgentConfig(livekit_api_key="key", livekit_api_secret="secret" * 6)
AVATAR = AvatarJob(id="a", name="Ada", voice="hibari")


def test_metadata_survives_the_way() -> None:
    job = CallJob(call_id="call-1", avatar=AVATAR, portrait_path="/p.png")
    assert CallJob.from_metadata(job.to_metadata()) == job


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "{}",
        f'{{"call_id":"c","avatar":{WHO}}}',
        f'{{"call_id":"c","avatar":{WHO},"portrait_path":"/p","portrait_url":"http://x"}}',
        f'{{"version":2,"call_id":"c","avatar":{WHO},"portrait_path":"/p"}}',
    ],
)
def test_other_text_is_refused(metadata: str) -> None:
    with pytest.raises(ValidationError):
        CallJob.from_metadata(metadata)


async def test_a_missing_portrait_says_which() -> None:
    job = CallJob(call_id="call-1", avatar=AVATAR, portrait_path="/nowhere/p.png")
    with pytest.raises(PortraitMissing, match=r"/nowhere/p\.png"):
        await load_portrait(CONFIG, job)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("404 Not Found", PortraitMissing),
        ("401 Unauthorized", PortraitMissing),
        ("429 Too Many Requests", PortraitAway),
        ("503 Service Unavailable", PortraitAway),
        (None, PortraitAway),
    ],
)
async def test_a_gateway_that_is_away_for_a_moment_has_lost_no_portrait(
    answer: str | None, expected: type[Exception]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/portrait"
        job = CallJob(call_id="call-1", avatar=AVATAR, portrait_url=url)
        with pytest.raises(expected):
            await load_portrait(CONFIG, job)


async def test_a_portrait_on_another_host_is_fetched_with_a_token_for_this_call_only() -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nPNG")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/api/avatars/a/portrait"
        job = CallJob(call_id="call-1", avatar=AVATAR, portrait_url=url)
        assert (await load_portrait(CONFIG, job)).tobytes() == b"PNG"
    (header,) = (line for line in asked[0].splitlines() if line.lower().startswith("authorization"))
    claims = api.TokenVerifier("key", "secret" * 6).verify(header.split()[-1])
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_admin) == ("call-1", None)
    assert room_token(CONFIG, "call-2") != header.split()[-1]
