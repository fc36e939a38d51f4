"""The watchdog on a virtual clock."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from gateway.deps import Services
from gateway.livekit_rooms import Presence
from gateway.watchdog import Watchdog
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
    return Watchdog(services.calls, clock)


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


async def test_a_call_whose_room_closed_has_ended(
    watchdog: Watchdog, rooms: FakeRooms, room: str, services: Services
):
    services.calls.store.caller_joined(room)
    del rooms.rooms[room]
    await watchdog.look()
    assert state(services, room) == "ended"


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
    watchdog: Watchdog, rooms: FakeRooms, room: str, monkeypatch: pytest.MonkeyPatch
):
    class Stop(Exception):
        pass

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        rooms.down = False
        if len(pauses) == 2:
            raise Stop

    monkeypatch.setattr("gateway.watchdog.asyncio.sleep", sleep)
    rooms.down = True
    with pytest.raises(Stop):
        await watchdog.run()
    assert pauses == [3600, 3600]


async def test_calls_that_ended_are_forgotten(
    watchdog: Watchdog, clock: Clock, rooms: FakeRooms, room: str, services: Services
):
    await look_for(watchdog, clock, PATIENCE_S - 1)
    services.calls.store.end(room, "deleted")
    await look_for(watchdog, clock, 60)
    assert len(rooms.dispatches[room]) == 1
