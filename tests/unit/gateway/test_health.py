"""/healthz, /readyz and /metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from gateway.deps import Services
from gateway.readiness import ReadinessProbe
from proto.messages import EngineStatus, Failure, Ping
from proto.wire.sockets import ServerSocket
from tests.unit.gateway.conftest import FakeRooms

pytestmark = pytest.mark.unit


@asynccontextmanager
async def engine(endpoint: str, *answers: EngineStatus | Failure) -> AsyncIterator[None]:
    """Answers the next pings, one each."""

    async def serve() -> None:
        for answer in answers:
            peer, message = await server.recv()
            assert isinstance(message, Ping)
            await server.send(peer, answer)

    async with ServerSocket(endpoint) as server:
        task = asyncio.create_task(serve())
        yield
        await task


def status(engine_name: str, **labels: str) -> EngineStatus:
    return EngineStatus(
        session_id="gateway",
        engine="actor" if engine_name == "actor" else "thinker",
        real_time_factor=0.25,
        queue_depth=0,
        sessions=1,
        labels=labels,
    )


def probe_of(
    services: Services, rooms: FakeRooms, *, worker: httpx.Response | None = None
) -> ReadinessProbe:
    transport = httpx.MockTransport(lambda _: worker or httpx.Response(200, text="OK"))
    http = httpx.AsyncClient(transport=transport)
    return ReadinessProbe(services.settings, services.readiness.database, rooms, http)


def test_a_running_process_is_healthy(client: TestClient):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_readiness_names_what_is_missing(client: TestClient):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["not_ready"] == ["actor", "thinker", "agent_worker"]
    assert problem["ready"] is False
    assert problem["parts"]["database"] == {"ready": True, "detail": "sqlite", "labels": {}}
    assert "actor, thinker, agent_worker" in problem["title"]


async def test_with_all_parts_there_it_is_ready_and_tells_which_brain_answers(
    services: Services, rooms: FakeRooms
):
    probe = probe_of(services, rooms)
    settings = services.settings
    async with (
        engine(settings.actor_endpoint, status("actor")),
        engine(settings.thinker_endpoint, status("thinker", brain="SmolLM2-135M")),
    ):
        found = await probe.look()
    assert found.ready
    assert found.not_ready == []
    assert found.parts["thinker"].labels == {"brain": "SmolLM2-135M"}
    assert found.parts["actor"].detail == "real-time factor 0.25, 1 sessions"


async def test_parts_that_answer_with_trouble_are_not_ready(services: Services, rooms: FakeRooms):
    probe = probe_of(services, rooms, worker=httpx.Response(503, text=""))
    failure = Failure(session_id="gateway", code="loading", message="still loads", retryable=True)
    rooms.down = True
    settings = services.settings
    async with engine(settings.actor_endpoint, failure), engine(settings.thinker_endpoint, failure):
        found = await probe.look()
    assert found.not_ready == ["livekit", "actor", "thinker", "agent_worker"]
    assert found.parts["thinker"].detail == "still loads"
    assert found.parts["agent_worker"].detail == "HTTP 503"


async def test_a_database_that_fails_is_named(
    services: Services, rooms: FakeRooms, monkeypatch: pytest.MonkeyPatch
):
    def fail() -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    probe = probe_of(services, rooms)
    monkeypatch.setattr(probe.database, "ping", fail)
    found = await probe.look()
    assert found.parts["database"].ready is False
    assert "OperationalError" in found.parts["database"].detail


async def test_a_livekit_that_hangs_is_not_waited_for(
    services: Services, rooms: FakeRooms, monkeypatch: pytest.MonkeyPatch
):
    async def hang() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(rooms, "ping", hang)
    found = await probe_of(services, rooms).look()
    assert found.parts["livekit"].detail == "does not answer"


def test_metrics_count_requests_by_route_and_not_by_address(client: TestClient):
    client.get("/api/avatars/nobody-17")
    text = client.get("/metrics").text
    route = "/api/avatars/{avatar_id}"
    assert f'requests_total{{method="GET",route="{route}",status="404"}}' in text
    assert "nobody-17" not in text


def test_made_up_methods_are_counted_as_one(client: TestClient):
    for number in range(5):
        client.request(f"BREW{number}", "/api/avatars")
    text = client.get("/metrics").text
    assert "BREW" not in text
    assert 'method="other"' in text
