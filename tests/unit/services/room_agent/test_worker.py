"""What a worker says of itself, and of each call that it takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from services.provenance import ProvenanceKey
from services.room_agent import worker
from services.room_agent.config import AgentConfig
from services.room_agent.job import AvatarJob, CallJob
from services.room_agent.lifeline import HOLDS_ONE
from services.room_agent.portrait import PortraitAway
from services.room_agent.worker import UNSIGNED, build_server, job_environment, take_request

pytestmark = pytest.mark.unit


def config(**more: Any) -> AgentConfig:
    return AgentConfig(livekit_api_key="key", livekit_api_secret="s" * 32, **more)


@pytest.mark.parametrize("key", ["", ProvenanceKey.new().text])
def test_a_worker_that_signs_nothing_says_so(key: str, caplog: pytest.LogCaptureFixture) -> None:
    build_server(config(provenance_key=key))
    assert (UNSIGNED in caplog.text) == (not key)


@pytest.mark.parametrize("model", [False, True])
def test_jobs_are_told_where_livekit_is_and_whether_they_need_the_model(model: bool) -> None:
    told = job_environment(config(livekit_url="ws://here:7880", end_of_turn_model=model))
    assert told.pop("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", None) == (None if model else "0")
    assert told == {
        "LIVEKIT_URL": "ws://here:7880",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "s" * 32,
    }


@pytest.mark.parametrize("gateway", [None, "http://gateway:8080"])
async def test_an_avatar_says_whether_it_holds_a_lifeline(gateway: str | None) -> None:
    who = AvatarJob(id="a", name="Ada", voice="hibari", persona="")
    job = CallJob(call_id="call-1", avatar=who, portrait_path="/a.png")
    accepted: list[dict[str, str]] = []

    async def accept(*, name: str, identity: str, attributes: dict[str, str]) -> None:
        assert (name, identity) == ("Ada", "avatar-7")
        accepted.append(attributes)

    told = SimpleNamespace(metadata=job.to_metadata())
    request: Any = SimpleNamespace(job=told, id="7", accept=accept)
    await take_request(config(gateway_url=gateway), request)
    (attributes,) = accepted
    assert attributes["xs.synthetic"] == "true"
    assert (HOLDS_ONE in attributes) is (gateway is not None)


class Context:
    """A job of LiveKit's."""

    def __init__(self, job: CallJob) -> None:
        self.job = SimpleNamespace(metadata=job.to_metadata())
        self.proc = SimpleNamespace(userdata={worker.MODELS: "models"})
        self.log_context_fields: dict[str, str] = {}
        self.ended: list[str] = []
        self.deleted = False
        self.hang_up: Any = None

    def add_shutdown_callback(self, callback: Any) -> None:
        self.hang_up = callback

    def shutdown(self, reason: str) -> None:
        self.ended.append(reason)

    async def delete_room(self) -> None:
        self.deleted = True


class Agent:
    """A call that goes on until somebody ends it, and fails where the test says so."""

    def __init__(self, joins: bool = True) -> None:
        self.joined = asyncio.Event()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if joins:
            self.joined.set()

    async def run(self) -> str:
        return await self.over

    def end(self, reason: str) -> None:
        self.over.set_result(reason)


def job(portrait: str) -> CallJob:
    who = AvatarJob(id="a", name="Ada", voice="hibari", persona="")
    return CallJob(call_id="call-1", avatar=who, portrait_path=portrait)


@pytest.fixture
def portrait(tmp_path: Path) -> str:
    (tmp_path / "p.png").write_bytes(b"a picture")
    return str(tmp_path / "p.png")


@asynccontextmanager
async def running(
    agent: Agent, context: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Context]:
    monkeypatch.setattr(worker, "LiveKitRoom", lambda *_, **__: "room")
    monkeypatch.setattr(worker, "RoomAgent", lambda *_: agent)
    await asyncio.wait_for(worker.run_job(config(), context), 5)
    yield context
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_worker_that_stops_hangs_up_and_waits_for_the_call(
    portrait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Agent(), Context(job(portrait)), monkeypatch) as context:
        assert context.log_context_fields == {"call": "call-1"}
        assert context.ended == [], "the entry point returned, the call goes on"
        await asyncio.wait_for(context.hang_up("the worker stops"), 5)
    assert context.ended == ["the worker stops"]


async def test_a_call_that_fails_ends_its_process_too(
    portrait: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent()
    async with running(agent, Context(job(portrait)), monkeypatch) as context:
        agent.over.set_exception(RuntimeError("nobody foresaw this"))
    assert context.ended == ["call failed"]
    assert "nobody foresaw this" in caplog.text


async def test_a_call_that_is_cancelled_ends_its_process_too(
    portrait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent()
    async with running(agent, Context(job(portrait)), monkeypatch) as context:
        agent.over.cancel()
    assert context.ended == ["cancelled"]


async def test_a_call_that_cannot_join_is_not_waited_for(
    portrait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(joins=False)
    agent.over.set_exception(RuntimeError("no LiveKit server"))
    async with running(agent, Context(job(portrait)), monkeypatch) as context:
        pass
    assert context.ended == ["call failed"]


async def test_a_call_without_its_portrait_is_over_for_good() -> None:
    context: Any = Context(job("/nowhere/p.png"))
    await worker.run_job(config(), context)
    assert context.deleted
    assert context.ended == ["portrait missing"]


async def test_a_portrait_that_is_away_for_a_moment_costs_no_call(
    portrait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise PortraitAway("the gateway restarts")

    monkeypatch.setattr(worker, "load_portrait", away)
    context: Any = Context(job(portrait))
    await worker.run_job(config(), context)
    assert not context.deleted, "the watchdog sends another agent"
    assert context.ended == ["portrait away"]


async def test_what_is_no_call_is_refused_without_repeating_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rejected: list[bool] = []

    async def reject() -> None:
        rejected.append(True)

    told = SimpleNamespace(metadata='{"said": "my secret"}')
    room = SimpleNamespace(name="room-1")
    request: Any = SimpleNamespace(job=told, room=room, reject=reject)
    await take_request(config(), request)
    assert rejected == [True]
    assert "my secret" not in str([record.__dict__ for record in caplog.records])


def test_both_tracks_are_declared_with_the_avatars_name() -> None:
    key = ProvenanceKey.new()
    declare = worker._declaration(config(provenance_key=key.text), job("/p.png"))
    assert declare is not None
    claims = jwt.decode(
        declare("room-1", "avatar-1", ["TR_a", "TR_b"]), options={"verify_signature": False}
    )
    assert (claims["room"], claims["avatar"], claims["synthetic"]) == ("room-1", "a", True)
    assert worker._declaration(config(), job("/p.png")) is None


def test_a_worker_is_as_loaded_as_it_has_calls() -> None:
    def loaded(calls: int) -> float:
        server: Any = SimpleNamespace(active_jobs=range(calls))
        return worker.load(config(max_calls=4), server)

    assert [loaded(calls) for calls in (0, 1, 4, 9)] == [0.0, 0.25, 1.0, 1.0]
