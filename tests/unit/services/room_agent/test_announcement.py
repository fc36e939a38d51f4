"""A worker tells the gateway that it takes calls, and needs no answer."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from livekit import api
from livekit.agents import AgentServer

from proto.endpoints import ACTOR_ENDPOINT, THINKER_ENDPOINT
from proto.messages import EngineStatus
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


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The calls of a worker; one that was not started has no place for them."""
    jobs: list[object] = []
    monkeypatch.setattr(AgentServer, "active_jobs", jobs)
    return jobs


def server() -> AgentServer:
    return AgentServer(ws_url="ws://127.0.0.1:1", api_key="key", api_secret=SECRET)


@asynccontextmanager
async def gateway(told: "asyncio.Queue[tuple[bytes, str]]") -> AsyncIterator[str]:
    """One that remembers what it is told, and how that was signed; its URL."""

    async def take(request: web.Request) -> web.Response:
        told.put_nowait((await request.read(), request.headers["Authorization"]))
        return web.Response(status=204)

    application = web.Application()
    application.add_routes([web.post(WORKERS_PATH, take)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_each_registration_is_told_signed():
    queue: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
    worker = server()
    told = []
    async with gateway(queue) as url, announcing(config(url), worker):
        for registration in ("AW_1", "AW_2"):
            worker.emit("worker_registered", registration, None)
            told.append(await asyncio.wait_for(queue.get(), 5))
    workers = [Announcement.model_validate_json(body) for body, _ in told]
    assert [one.registration for one in workers] == ["AW_1", "AW_2"]
    assert {one.max_calls for one in workers} == {config(None).max_calls}
    assert len({one.name for one in workers}) == 1
    for body, token in told:
        claims = api.TokenVerifier("key", SECRET).verify(token)
        assert claims.sha256 == base64.b64encode(hashlib.sha256(body).digest()).decode()


async def test_a_worker_tells_how_its_engines_fare_and_that_it_drains(
    monkeypatch: pytest.MonkeyPatch, running: list[object]
):
    monkeypatch.setattr("services.room_agent.announcement.EVERY_S", 0.02)
    running += [object(), object()]
    fares = {ACTOR_ENDPOINT: ("actor", 0.3), THINKER_ENDPOINT: ("thinker", 0.5)}

    async def status_of(endpoint: str, *_: object) -> EngineStatus | None:
        engine, factor = fares[endpoint]
        return EngineStatus(
            session_id="status",
            engine=engine,
            real_time_factor=factor,
            queue_depth=0,
            sessions=2,
            degradation_step=1,
        )

    monkeypatch.setattr("services.room_agent.announcement.status_of", status_of)
    queue: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
    worker = server()

    async def said(max_calls: int, calls: int) -> Announcement:
        while True:
            body, _ = await asyncio.wait_for(queue.get(), 5)
            one = Announcement.model_validate_json(body)
            if (one.max_calls, one.calls) == (max_calls, calls):
                return one

    async with gateway(queue) as url, announcing(config(url), worker):
        worker.emit("worker_registered", "AW_1", None)
        one = await said(config(None).max_calls, 2)
        assert (one.actor_factor, one.thinker_factor, one.degradation_step) == (0.3, 0.5, 1)
        monkeypatch.setattr(worker, "_draining", True)
        await said(0, 2)
        running.pop()
        await said(0, 1)


async def test_a_gateway_that_is_not_there_is_told_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    monkeypatch.setattr("services.room_agent.announcement.EVERY_S", 0.05)
    monkeypatch.setattr("services.room_agent.announcement.ENGINE_S", 0.05)
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
