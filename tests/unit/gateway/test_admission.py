"""POST /api/rooms where all places are taken."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from gateway.admission import expected_wait_s
from gateway.capacity import WorkerLoad
from gateway.deps import Services
from gateway.errors import GatewayError
from gateway.store.calls import UNKNOWN_LENGTH_S
from gateway.store.tables import Call
from tests.unit.gateway.conftest import FakeMeter, FakeRooms

pytestmark = pytest.mark.unit


def ask(client: TestClient, ticket: str | None = None) -> Any:
    headers = {} if ticket is None else {"XStreamer-Ticket": ticket}
    return client.post("/api/rooms", json={"avatar_id": "mara"}, headers=headers)


@pytest.fixture
def one_place(meter: FakeMeter) -> FakeMeter:
    meter.load = (WorkerLoad(1),)
    return meter


def test_beyond_capacity_the_answer_says_where_one_stands_and_how_long_it_takes(
    client: TestClient, one_place: FakeMeter, rooms: FakeRooms
):
    assert ask(client).status_code == 201
    refused = [ask(client) for _ in range(2)]
    assert [answer.status_code for answer in refused] == [429, 429]
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert refused[0].headers["retry-after"] == "5"
    problems = [answer.json() for answer in refused]
    assert [problem["code"] for problem in problems] == ["at_capacity"] * 2
    assert [problem["position"] for problem in problems] == [1, 2]
    assert [problem["estimated_wait_s"] for problem in problems] == [180, 360]
    assert "number 2" in problems[1]["title"]
    assert len(rooms.rooms) == 1


def test_when_a_call_ends_the_first_in_line_gets_in_and_nobody_overtakes(
    client: TestClient, one_place: FakeMeter
):
    room = ask(client).json()["room"]
    first, second = (ask(client).json()["ticket"] for _ in range(2))
    client.delete(f"/api/rooms/{room}")
    assert ask(client).json()["position"] == 3
    assert ask(client, second).json()["position"] == 2
    assert ask(client, first).status_code == 201
    assert ask(client, second).json()["position"] == 1


def test_who_cancels_lets_the_others_move_up(client: TestClient, one_place: FakeMeter):
    ask(client)
    first, second = (ask(client).json()["ticket"] for _ in range(2))
    assert client.delete(f"/api/waiting/{first}").status_code == 204
    assert ask(client, second).json()["position"] == 1


def test_nobody_comes_in_while_running_calls_look_worse(client: TestClient, meter: FakeMeter):
    meter.load = (WorkerLoad(4, actor_factor=0.1),)
    assert ask(client).status_code == 201
    meter.load = (WorkerLoad(4, actor_factor=0.1, degradation_step=2),)
    ticket = ask(client).json()["ticket"]
    meter.load = (WorkerLoad(4, actor_factor=0.1, degradation_step=1),)
    assert ask(client, ticket).status_code == 201


def test_a_call_that_could_not_be_opened_leaves_its_place(
    client: TestClient, one_place: FakeMeter, rooms: FakeRooms
):
    rooms.down = True
    assert ask(client).status_code == 503
    rooms.down = False
    assert ask(client).status_code == 201


def test_whose_call_could_not_be_opened_comes_next(
    client: TestClient, one_place: FakeMeter, rooms: FakeRooms
):
    room = ask(client).json()["room"]
    first, second = (ask(client).json()["ticket"] for _ in range(2))
    client.delete(f"/api/rooms/{room}")
    rooms.down = True
    assert ask(client, first).status_code == 503
    rooms.down = False
    assert ask(client, second).json()["position"] == 2
    assert ask(client, first).status_code == 201


def test_rooms_that_nobody_came_to_do_not_hold_their_place_for_ever(
    client: TestClient, one_place: FakeMeter, services: Services
):
    room = ask(client).json()["room"]
    assert ask(client).status_code == 429
    with services.calls.store._database.session() as session:
        call = session.get(Call, room)
        assert call is not None
        call.created_at -= timedelta(seconds=services.settings.empty_timeout_s + 1)
    assert services.calls.store.taken(services.settings.empty_timeout_s) == 0


async def test_of_those_who_come_at_once_only_as_many_get_in_as_fit(
    client: TestClient, one_place: FakeMeter, services: Services
):
    inside = most = 0

    async def call() -> bool:
        nonlocal inside, most
        try:
            async with services.admission.place(None):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1
        except GatewayError:
            return False
        return True

    assert sum(await asyncio.gather(*(call() for _ in range(8)))) == 1
    assert most == 1


def test_the_estimate_rests_on_how_long_calls_last(services: Services, client: TestClient):
    store = services.calls.store
    assert store.usual_length_s() == UNKNOWN_LENGTH_S
    began = datetime.now(UTC)
    for minutes in (1, 3):
        room = ask(client).json()["room"]
        with store._database.session() as session:
            call = session.get(Call, room)
            assert call is not None
            call.state, call.started_at = "ended", began
            call.ended_at = began + timedelta(minutes=minutes)
    assert store.usual_length_s() == 120
    assert expected_wait_s(position=2, taken=4, usual_length_s=120) == 60


def test_people_who_wait_are_counted(client: TestClient, one_place: FakeMeter):
    refused = REGISTRY.get_sample_value("xstreamer_gateway_refused_total") or 0
    ask(client)
    ticket = ask(client).json()["ticket"]
    ask(client, ticket)
    assert REGISTRY.get_sample_value("xstreamer_gateway_refused_total") == refused + 1
    assert REGISTRY.get_sample_value("xstreamer_gateway_queue_length") == 1
    assert REGISTRY.get_sample_value("xstreamer_gateway_capacity") == 1


def test_the_answer_is_in_the_openapi_document(client: TestClient):
    document = client.get("/openapi.json").json()
    answer = document["paths"]["/api/rooms"]["post"]["responses"]["429"]
    (content,) = answer["content"].values()
    assert {"$ref": "#/components/schemas/AtCapacity"} in content["schema"]["anyOf"]
    fields = document["components"]["schemas"]["AtCapacity"]["properties"]
    assert {"position", "estimated_wait_s", "ticket", "code"} <= set(fields)
