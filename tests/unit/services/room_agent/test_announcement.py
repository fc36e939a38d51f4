"""A worker tells the gateway that it takes calls, and needs no answer."""

import asyncio
import base64
import hashlib

import pytest
from aiohttp import web
from livekit import api
from livekit.agents import AgentServer

from services.room_agent.announcement import WORKERS_PATH, Announcement, announcing
from services.room_agent.config import AgentConfig

pytestmark = pytest.mark.unit

SECRET = "a secret that is long enough for HMAC"


def config(url: str | None) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "livekit_url": "ws://127.0.0.1:1",
            "livekit_api_key": "key",
            "livekit_api_secret": SECRET,
            "gateway_url": url,
        }
    )


def server() -> AgentServer:
    return AgentServer(ws_url="ws://127.0.0.1:1", api_key="key", api_secret=SECRET)


async def test_each_registration_is_told_signed():
    told: list[tuple[bytes, str]] = []
    came = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        told.append((await request.read(), request.headers["Authorization"]))
        came.set()
        return web.Response(status=204)

    application = web.Application()
    application.add_routes([web.post(WORKERS_PATH, take)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    worker = server()
    try:
        async with announcing(config(f"http://127.0.0.1:{runner.addresses[0][1]}/"), worker):
            for registration in ("AW_1", "AW_2"):
                came.clear()
                worker.emit("worker_registered", registration, None)
                await asyncio.wait_for(came.wait(), 5)
    finally:
        await runner.cleanup()
    workers = [Announcement.model_validate_json(body) for body, _ in told]
    assert [one.registration for one in workers] == ["AW_1", "AW_2"]
    assert {one.max_calls for one in workers} == {config(None).max_calls}
    assert len({one.name for one in workers}) == 1
    for body, token in told:
        claims = api.TokenVerifier("key", SECRET).verify(token)
        assert claims.sha256 == base64.b64encode(hashlib.sha256(body).digest()).decode()


async def test_a_gateway_that_is_not_there_is_told_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    monkeypatch.setattr("services.room_agent.announcement.EVERY_S", 0.05)
    worker = server()
    async with announcing(config("http://127.0.0.1:9"), worker):
        worker.emit("worker_registered", "AW_1", None)
        async with asyncio.timeout(5):
            while caplog.text.count("not told of this worker") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_without_a_gateway_nobody_is_told():
    worker = server()
    async with announcing(config(None), worker):
        worker.emit("worker_registered", "AW_1", None)
