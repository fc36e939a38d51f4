"""The watchdog on a virtual clock."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from gateway.calls import Calls
from gateway.deps import Services
from gateway.errors import unavailable
from gateway.lifelines import Agent, Lifelines
from gateway.livekit_rooms import Presence
from gateway.store.tables import Call
from gateway.watchdog import Watchdog
from gateway.workers import Workers
from proto.messages import HistoryTurn
from services.room_agent.conversation import Conversation
from services.room_agent.job import CallJob
from tests.unit.gateway.conftest import FakeRooms

pytestmark = pytest.mark.unit

PATIENCE_S = 4.0


class Clock:
    """Seconds that pass only when told to."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchdog(services: Services, clock: Clock) -> Watchdog:
    return Watchdog(services.calls, Workers(), clock)


@pytest.fixture
def room(client: TestClient) -> str:
    created = client.post("/api/rooms", json={"avatar_id": "mara"}).json()
    return str(created["room"])


async def look_for(watchdog: Watchdog, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds * 2)):
        await watchdog.look()
        clock.now_s += 0.5
    await watchdog.look()


def state(services: Services, room: str) -> str:
    call = services.calls.store.get(room)
    assert call is not None
    return call.state


async def test_an_agent_that_does_not_come_is_asked_for_again(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    await look_for(watchdog, clock, PATIENCE_S - 0.5)
    assert len(rooms.dispatches[room]) == 1
    await look_for(watchdog, clock, 1)
    assert len(rooms.dispatches[room]) == 2
    assert rooms.dispatches[room][0] == rooms.dispatches[room][1]
    call = services.calls.store.get(room)
    assert call is not None
    assert call.dispatches == 2


async def test_it_asks_less_often_the_longer_nobody_comes(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str
):
    await look_for(watchdog, clock, PATIENCE_S + 2 * PATIENCE_S - 0.5)
    assert len(rooms.dispatches[room]) == 2
    await look_for(watchdog, clock, 2 * PATIENCE_S + 1)
    assert len(rooms.dispatches[room]) == 4


async def test_a_call_with_its_agent_is_left_alone(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str
):
    rooms.rooms[room] = Presence(exists=True, agents=1, callers=1)
    await look_for(watchdog, clock, 60)
    assert len(rooms.dispatches[room]) == 1


async def test_an_agent_that_crashes_in_mid_call_is_replaced(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    services.calls.store.caller_joined(room)
    rooms.rooms[room] = Presence(exists=True, agents=1, callers=1)
    await look_for(watchdog, clock, 60)
    rooms.rooms[room] = Presence(exists=True, agents=0, callers=1)
    await look_for(watchdog, clock, PATIENCE_S + 1)
    assert len(rooms.dispatches[room]) == 2


async def test_an_agent_that_comes_late_starts_the_count_anew(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str
):
    await look_for(watchdog, clock, PATIENCE_S - 1)
    rooms.rooms[room] = Presence(exists=True, agents=1)
    await watchdog.look()
    rooms.rooms[room] = Presence(exists=True)
    await look_for(watchdog, clock, PATIENCE_S - 1)
    assert len(rooms.dispatches[room]) == 1


async def test_nobody_is_sent_to_a_call_that_its_caller_left(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    services.calls.store.caller_joined(room)
    rooms.rooms[room] = Presence(exists=True)
    await look_for(watchdog, clock, 60)
    assert len(rooms.dispatches[room]) == 1
    assert state(services, room) == "active"


async def test_a_call_whose_room_stays_closed_has_ended(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    services.calls.store.caller_joined(room)
    del rooms.rooms[room]
    await look_for(watchdog, clock, services.settings.room_timeout_s - 1)
    assert state(services, room) == "active"
    await look_for(watchdog, clock, 2)
    assert state(services, room) == "ended"


async def test_a_call_outlives_its_livekit_server(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    """Rooms live in the server's memory; both sides make theirs again when they reconnect."""
    services.calls.store.caller_joined(room)
    for _ in range(3):
        del rooms.rooms[room]
        await look_for(watchdog, clock, services.settings.room_timeout_s - 1)
        rooms.rooms[room] = Presence(exists=True, agents=1, callers=1)
        await watchdog.look()
    assert state(services, room) == "active"


async def test_an_agent_that_lives_is_waited_for(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    """After a crash of LiveKit a caller may be back before the agent is."""
    rooms.dispatches[room].clear()
    rooms.rooms[room] = Presence(exists=True, callers=1)
    with services.lifelines.held(Agent(room, "avatar-1")):
        await services.calls.caller_joined(room)
        await look_for(watchdog, clock, 10)
        assert not rooms.dispatches[room]
    await look_for(watchdog, clock, 1)
    assert len(rooms.dispatches[room]) == 1


async def test_a_dispatch_that_no_worker_took_is_made_again_soon_and_as_often_as_it_takes(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str
):
    rooms.worker = False
    await look_for(watchdog, clock, 0.5)
    assert len(rooms.dispatches[room]) == 1
    await look_for(watchdog, clock, 8)
    assert 6 <= len(rooms.dispatches[room]) <= 9


async def test_a_worker_that_comes_is_asked_at_once_for_what_none_took(
    clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    workers = Workers()
    watchdog = Watchdog(services.calls, workers, clock)
    rooms.worker = False
    await watchdog.look()
    clock.now_s += 0.4
    workers.came.set()
    await watchdog.look()
    assert len(rooms.dispatches[room]) == 2
    clock.now_s += 0.4
    await watchdog.look()
    assert len(rooms.dispatches[room]) == 2, "it came once"
    rooms.worker = True
    workers.came.set()
    await watchdog.look()
    assert len(rooms.dispatches[room]) == 2, "a worker has it"


async def after_death(calls: Calls, monkeypatch: pytest.MonkeyPatch, agent: Agent) -> None:
    """Its lifeline broke, and a watchdog saw to it."""
    monkeypatch.setattr("gateway.watchdog.DEATH_S", 0.0)
    calls.lifelines.broken.put_nowait(agent)
    burying = asyncio.create_task(Watchdog(calls, Workers()).replace_the_dead())
    await asyncio.sleep(0.3)
    burying.cancel()
    await asyncio.wait([burying])


async def test_a_dead_agent_is_sent_out_and_its_successor_knows_what_was_said(
    rooms: FakeRooms, room: str, services: Services, monkeypatch: pytest.MonkeyPatch
):
    calls = replace(services.calls, lifelines=Lifelines())  # the gateway's own watchdog is at work
    said = Conversation(turn=3, epoch=7, said=(HistoryTurn(role="user", text="I am Ada."),))
    await calls.agent_joined(room)
    await calls.remember(room, said)
    rooms.rooms[room] = Presence(exists=True, callers=1)
    await after_death(calls, monkeypatch, Agent(room, "avatar-1"))
    assert rooms.removed == [(room, "avatar-1")]
    first, second = map(CallJob.from_metadata, rooms.dispatches[room])
    assert first.conversation is None
    assert second == first.model_copy(update={"conversation": said})


@pytest.mark.parametrize("died", [True, False])
async def test_an_agent_that_died_while_the_gateway_restarted_is_replaced(
    rooms: FakeRooms,
    room: str,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    died: bool,
):
    monkeypatch.setattr("gateway.watchdog.RETURN_S", 0.0)
    monkeypatch.setattr("gateway.watchdog.DEATH_S", 0.0)
    calls = replace(services.calls, lifelines=Lifelines())  # as after a restart
    rooms.rooms[room] = Presence(True, 1, 1, frozenset({"avatar-1"}))
    with ExitStack() as lines:
        if not died:
            lines.enter_context(calls.lifelines.held(Agent(room, "avatar-1")))
        looking = asyncio.create_task(Watchdog(calls, Workers()).replace_the_dead())
        await asyncio.sleep(0.3)
        looking.cancel()
        await asyncio.wait([looking])
    assert rooms.removed == ([(room, "avatar-1")] if died else [])
    assert len(rooms.dispatches[room]) == 1 + died


async def test_a_successor_knows_that_it_is_one_even_if_nothing_was_said(
    rooms: FakeRooms, room: str, services: Services
):
    await services.calls.agent_joined(room)
    call = services.calls.store.get(room)
    assert call is not None
    await services.calls.dispatch_again(call)
    assert CallJob.from_metadata(rooms.dispatches[room][-1]).conversation == Conversation()


async def test_an_agent_that_was_only_cut_off_is_left_alone(
    rooms: FakeRooms, room: str, services: Services, monkeypatch: pytest.MonkeyPatch
):
    calls = replace(services.calls, lifelines=Lifelines())
    with calls.lifelines.held(Agent(room, "avatar-1")):
        await after_death(calls, monkeypatch, Agent(room, "avatar-1"))
    rooms.down = True
    await after_death(calls, monkeypatch, Agent(room, "avatar-1"))
    calls.store.end(room, "left")
    rooms.down = False
    await after_death(calls, monkeypatch, Agent(room, "avatar-2"))
    assert not rooms.removed
    assert len(rooms.dispatches[room]) == 1


async def test_what_was_said_is_forgotten_when_the_call_ends(room: str, services: Services):
    await services.calls.remember(room, Conversation(turn=1))
    await services.calls.end(room, "deleted")
    await services.calls.remember(room, Conversation(turn=2))
    call = services.calls.store.get(room)
    assert call is not None
    assert call.conversation is None


async def test_a_room_that_nobody_came_to_still_waits_for_its_caller(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    del rooms.rooms[room]
    await look_for(watchdog, clock, 60)
    assert state(services, room) == "created"
    assert len(rooms.dispatches[room]) == 1


async def test_an_expired_call_is_ended_for_everyone(
    watchdog: Watchdog, rooms: FakeRooms, room: str, services: Services
):
    with services.readiness.database.session() as session:
        call = services.calls.store.get(room)
        assert call is not None
        call.expires_at = datetime.now(UTC) - timedelta(seconds=1)
        session.merge(call)
    await watchdog.look()
    ended = services.calls.store.get(room)
    assert ended is not None
    assert (ended.state, ended.end_reason) == ("ended", "expired")
    assert room not in rooms.rooms


async def test_what_no_webhook_told_is_noticed_by_looking(
    watchdog: Watchdog, rooms: FakeRooms, room: str, services: Services
):
    rooms.rooms[room] = Presence(exists=True, agents=1, callers=1)
    await watchdog.look()
    call = services.calls.store.get(room)
    assert call is not None
    assert call.state == "active"
    assert call.started_at is not None
    assert call.agent_joined_at is not None
    await watchdog.look()
    again = services.calls.store.get(room)
    assert again is not None
    assert (again.started_at, again.callers) == (call.started_at, 0)


async def test_a_room_made_again_by_its_token_gets_an_agent_at_once(
    watchdog: Watchdog, rooms: FakeRooms, room: str
):
    rooms.dispatches[room].clear()
    rooms.rooms[room] = Presence(exists=True, callers=1)
    await watchdog.look()
    await watchdog.look()
    assert len(rooms.dispatches[room]) == 1


async def test_it_goes_on_after_livekit_was_away(
    rooms: FakeRooms, room: str, services: Services, caplog: pytest.LogCaptureFixture
):
    workers = Workers()
    rooms.rooms[room] = Presence(exists=True, agents=1, callers=1)
    rooms.down = True
    looking = asyncio.create_task(Watchdog(services.calls, workers).run())
    async with asyncio.timeout(5):
        while "could not look" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        rooms.down = False
        workers.came.set()
        while state(services, room) == "created":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    looking.cancel()
    await asyncio.wait([looking])


async def test_one_call_that_cannot_be_looked_at_costs_no_other_its_watchdog(
    clock: Clock,
    rooms: FakeRooms,
    room: str,
    services: Services,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
):
    younger = str(client.post("/api/rooms", json={"avatar_id": "priya"}).json()["room"])
    rooms.rooms[younger] = Presence(exists=True, agents=1, callers=1)
    presence = rooms.presence

    async def answers_for_one(asked: str) -> Presence:
        if asked == room:
            raise unavailable("livekit_unavailable", "LiveKit does not answer", "Look.")
        return await presence(asked)

    monkeypatch.setattr(rooms, "presence", answers_for_one)
    await Watchdog(services.calls, Workers(), clock).look()
    assert state(services, younger) == "active"


async def test_a_call_that_expired_is_ended_again_until_its_room_is_gone(
    watchdog: Watchdog, rooms: FakeRooms, room: str, services: Services
):
    with services.calls.store._database.session() as session:
        call = session.get(Call, room)
        assert call is not None
        call.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    rooms.down = True
    await watchdog.look()
    assert state(services, room) == "created", "else nobody would look after it"
    rooms.down = False
    await watchdog.look()
    ended = services.calls.store.get(room)
    assert ended is not None
    assert (ended.state, ended.end_reason) == ("ended", "expired")
    assert room not in rooms.rooms


async def test_calls_that_ended_are_forgotten(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    await look_for(watchdog, clock, PATIENCE_S - 1)
    services.calls.store.end(room, "deleted")
    await look_for(watchdog, clock, 60)
    assert len(rooms.dispatches[room]) == 1


async def test_an_agent_that_died_after_its_caller_left_is_not_replaced(
    rooms: FakeRooms, room: str, services: Services, monkeypatch: pytest.MonkeyPatch
):
    calls = replace(services.calls, lifelines=Lifelines())
    rooms.rooms[room] = Presence(exists=True)
    await after_death(calls, monkeypatch, Agent(room, "avatar-1"))
    assert rooms.removed
    assert len(rooms.dispatches[room]) == 1


async def test_a_token_cannot_bring_a_call_back_where_no_webhook_tells(
    watchdog: Watchdog, rooms: FakeRooms, client: TestClient
):
    ended, deleted, live = (
        str(client.post("/api/rooms", json={"avatar_id": "mara"}).json()["room"]) for _ in range(3)
    )
    client.delete(f"/api/rooms/{ended}")
    client.delete(f"/api/rooms/{deleted}/record")
    for name in (ended, deleted, "somebody-elses"):
        rooms.rooms[name] = Presence(exists=True, callers=1)
    await watchdog.close_remade()
    assert set(rooms.rooms) == {live, "somebody-elses"}
