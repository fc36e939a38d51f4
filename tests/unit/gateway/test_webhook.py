"""LiveKit's events: only signed ones count, and each changes the record as it should."""

import base64
import hashlib
from typing import Any

import jwt
import pytest
from fastapi.testclient import TestClient
from google.protobuf.json_format import MessageToJson
from livekit import api

from gateway.deps import Services
from gateway.livekit_rooms import Presence
from gateway.store.tables import Call
from tests.unit.gateway.conftest import KEY, SECRET, FakeRooms

pytestmark = pytest.mark.unit

AGENT = api.ParticipantInfo.Kind.AGENT
CALLER = api.ParticipantInfo.Kind.STANDARD
RECORDER = api.ParticipantInfo.Kind.EGRESS


@pytest.fixture
def room(client: TestClient) -> str:
    created = client.post("/api/rooms", json={"avatar_id": "mara"}).json()
    return str(created["room"])


def sign(body: str, secret: str = SECRET) -> str:
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    return jwt.encode({"iss": KEY, "sha256": digest, "exp": 4102444800}, secret)


def send(client: TestClient, name: str, room: str, kind: int | None = None) -> Any:
    event = api.WebhookEvent(event=name)
    event.room.name = room
    if kind is not None:
        event.participant.kind = kind  # type: ignore[assignment]
    body = MessageToJson(event)
    return client.post("/api/livekit/webhook", content=body, headers={"authorization": sign(body)})


def record(services: Services, room: str) -> Call:
    call = services.calls.store.get(room)
    assert call is not None
    return call


def test_a_caller_makes_the_call_active(client: TestClient, services: Services, room: str):
    assert send(client, "participant_joined", room, CALLER).status_code == 204
    call = record(services, room)
    assert (call.state, call.callers) == ("active", 1)
    first_joined = call.started_at
    send(client, "participant_joined", room, CALLER)
    assert record(services, room).callers == 2
    assert record(services, room).started_at == first_joined


def test_the_agent_is_noted_once(client: TestClient, services: Services, room: str):
    send(client, "participant_joined", room, AGENT)
    first = record(services, room).agent_joined_at
    assert first is not None
    send(client, "participant_joined", room, AGENT)
    assert record(services, room).agent_joined_at == first
    assert record(services, room).state == "created"


def test_other_participants_are_nobody(client: TestClient, services: Services, room: str):
    send(client, "participant_joined", room, RECORDER)
    assert (record(services, room).state, record(services, room).callers) == ("created", 0)


def test_the_end_of_an_active_room_ends_the_call(client: TestClient, services: Services, room: str):
    send(client, "participant_joined", room, CALLER)
    send(client, "room_finished", room)
    call = record(services, room)
    assert (call.state, call.end_reason) == ("ended", "left")
    assert call.ended_at is not None


def test_a_room_that_closed_before_anyone_came_can_still_be_called(
    client: TestClient, services: Services, rooms: FakeRooms, room: str
):
    send(client, "room_finished", room)
    assert record(services, room).state == "created"
    rooms.dispatches.pop(room)  # a room that LiveKit made again has no dispatch
    send(client, "participant_joined", room, CALLER)
    assert len(rooms.dispatches[room]) == 1
    assert record(services, room).dispatches == 2


def test_a_caller_of_a_room_with_a_dispatch_asks_for_no_second_agent(
    client: TestClient, rooms: FakeRooms, room: str
):
    send(client, "participant_joined", room, CALLER)
    assert len(rooms.dispatches[room]) == 1


def test_a_token_cannot_bring_an_ended_call_back(
    client: TestClient, services: Services, rooms: FakeRooms, room: str
):
    client.delete(f"/api/rooms/{room}")
    rooms.rooms[room] = rooms.rooms.get(room)  # type: ignore[assignment]
    send(client, "room_started", room)
    assert room not in rooms.rooms
    send(client, "participant_joined", room, CALLER)
    assert (record(services, room).state, record(services, room).callers) == ("ended", 0)


def test_a_token_cannot_bring_a_deleted_call_back(client: TestClient, rooms: FakeRooms, room: str):
    assert client.delete(f"/api/rooms/{room}/record").status_code == 204
    for name in (room, "somebody-elses"):
        rooms.rooms[name] = Presence(exists=True)
        send(client, "room_started", name)
    assert set(rooms.rooms) == {"somebody-elses"}


def test_a_room_that_starts_stays(client: TestClient, rooms: FakeRooms, room: str):
    send(client, "room_started", room)
    assert room in rooms.rooms


@pytest.mark.parametrize("event", ["room_started", "participant_joined", "room_finished", "new"])
@pytest.mark.parametrize("kind", [AGENT, CALLER])
def test_rooms_of_others_are_none_of_our_business(client: TestClient, event: str, kind: int):
    assert send(client, event, "somebody-elses", kind).status_code == 204


def test_unsigned_and_altered_events_are_refused(client: TestClient, services: Services, room: str):
    body = f'{{"event": "room_finished", "room": {{"name": "{room}"}}}}'
    other = body.replace("finished", "started")
    unhashed = jwt.encode({"iss": KEY, "exp": 4102444800}, SECRET)
    for signature in ("", "nonsense", sign(body, SECRET + "x"), sign(other), unhashed):
        headers = {"authorization": signature}
        answer = client.post("/api/livekit/webhook", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe"])
def test_a_signed_event_that_cannot_be_read_is_refused(client: TestClient, body: bytes):
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = jwt.encode({"iss": KEY, "sha256": digest, "exp": 4102444800}, SECRET)
    answer = client.post("/api/livekit/webhook", content=body, headers={"authorization": token})
    assert answer.status_code == 401


def test_a_huge_event_is_refused(client: TestClient):
    answer = client.post("/api/livekit/webhook", content=b"x" * 300_000)
    assert answer.status_code == 413
