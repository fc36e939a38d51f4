"""/api/rooms: what a caller gets, what LiveKit is asked for, how calls end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from fastapi.testclient import TestClient

from gateway.bodies import MAX_JSON_BYTES
from gateway.calls import PLAYOUT_DELAY_MS
from gateway.deps import Services
from proto.messages import Mood
from services.room_agent.job import CallJob, RoomState
from tests.unit.gateway.conftest import KEY, SECRET, FakeChecker, FakeRooms

pytestmark = pytest.mark.unit


def call_mara(client: TestClient) -> dict[str, str]:
    answer = client.post("/api/rooms", json={"avatar_id": "mara"})
    assert answer.status_code == 201
    created: dict[str, str] = answer.json()
    return created


def test_a_room_comes_with_everything_that_a_caller_needs(client: TestClient):
    created = call_mara(client)
    assert set(created) == {"room", "livekit_url", "token", "call_url", "expires_at"}
    assert created["livekit_url"] == "ws://127.0.0.1:8080/livekit"
    room, token = created["room"], created["token"]
    assert created["call_url"] == f"http://127.0.0.1:8080/call/{room}#token={token}"
    left = datetime.fromisoformat(created["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=3, minutes=59) < left <= timedelta(hours=4)


def test_the_token_opens_one_room_for_one_microphone_until_the_room_expires(client: TestClient):
    created = call_mara(client)
    claims = jwt.decode(created["token"], SECRET, algorithms=["HS256"])
    assert claims["iss"] == KEY
    assert claims["video"]["room"] == created["room"]
    assert claims["video"]["canPublishSources"] == ["microphone", "camera"]
    granted = {name for name, value in claims["video"].items() if value}
    assert granted == {
        *("room", "roomJoin", "canPublish", "canPublishSources", "canPublishData", "canSubscribe")
    }
    assert claims["video"]["canUpdateOwnMetadata"] is False
    assert claims.get("kind", "standard") == "standard"
    assert not claims.get("attributes")
    expires_at = datetime.fromisoformat(created["expires_at"]).timestamp()
    assert abs(claims["exp"] - expires_at) < 2
    other = jwt.decode(call_mara(client)["token"], SECRET, algorithms=["HS256"])
    assert other["sub"] != claims["sub"]


def test_callers_cannot_read_dispatch_metadata_in_their_token(client: TestClient):
    claims = jwt.decode(call_mara(client)["token"], SECRET, algorithms=["HS256"])
    assert claims["roomConfig"]["syncStreams"] is True
    assert claims["roomConfig"]["maxPlayoutDelay"] == PLAYOUT_DELAY_MS[1]
    assert "agents" not in claims["roomConfig"]


def test_the_agent_is_asked_for_before_any_caller_joins(client: TestClient, rooms: FakeRooms):
    room = call_mara(client)["room"]
    config = rooms.configs[room]
    assert config.sync_streams
    assert 0 < config.min_playout_delay < config.max_playout_delay <= 300
    assert [agent.agent_name for agent in config.agents] == ["xstreamer"]
    job = CallJob.from_metadata(config.agents[0].metadata)
    assert job.call_id == room
    assert (job.avatar.name, job.avatar.voice, job.avatar.language) == ("Mara", "hibari", "en")
    assert Path(job.portrait_path or "").stem == "mara"
    assert len(config.agents[0].metadata) < 1000


def test_agents_on_other_hosts_are_given_an_address_for_the_portrait(
    client: TestClient, services: Services, rooms: FakeRooms
):
    settings = services.settings.model_copy(
        update={"agent_shares_disk": False, "internal_url": "http://gateway:8080"}
    )
    object.__setattr__(services.calls, "settings", settings)
    room = call_mara(client)["room"]
    job = CallJob.from_metadata(rooms.dispatches[room][0])
    assert job.portrait_path is None
    assert job.portrait_url == "http://gateway:8080/api/avatars/mara/portrait"


def test_behind_https_the_signalling_is_secure_too(client: TestClient):
    client.base_url = "https://localhost:8443"
    created = call_mara(client)
    assert created["livekit_url"] == "wss://localhost:8443/livekit"
    assert created["call_url"].startswith("https://localhost:8443/call/")


def test_a_configured_public_address_of_livekit_is_passed_on(
    client: TestClient, services: Services
):
    settings = services.settings.model_copy(update={"livekit_public_url": "wss://lk.example"})
    object.__setattr__(services, "settings", settings)
    assert call_mara(client)["livekit_url"] == "wss://lk.example"


def test_a_portrait_becomes_avatar_and_room_in_one_step(client: TestClient, rooms: FakeRooms):
    files = {"portrait": ("me.png", b"picture", "image/png")}
    answer = client.post("/api/rooms", files=files, data={"persona": "A sailor", "consent": "true"})
    assert answer.status_code == 201
    room = answer.json()["room"]
    job = CallJob.from_metadata(rooms.dispatches[room][0])
    assert (job.avatar.name, job.avatar.persona) == ("My avatar", "A sailor")
    view = client.get(f"/api/rooms/{room}").json()
    assert client.get(f"/api/avatars/{view['avatar']['id']}").status_code == 200


def test_a_portrait_whose_call_could_not_be_opened_is_not_kept(
    client: TestClient, services: Services, rooms: FakeRooms
):
    before = services.avatars.store.ids()
    rooms.down = True
    files = {"portrait": ("me.png", b"picture", "image/png")}
    answer = client.post("/api/rooms", files=files, data={"consent": "true"})
    assert (answer.status_code, answer.json()["code"]) == (503, "livekit_unavailable")
    assert services.avatars.store.ids() == before
    assert client.post("/api/rooms", json={"avatar_id": "mara"}).status_code == 503
    assert services.avatars.store.ids() == before, "whom others call stays"


def test_a_refused_portrait_makes_no_room(
    client: TestClient, rooms: FakeRooms, checker: FakeChecker
):
    checker.code = "many_faces"
    files = {"portrait": ("us.png", b"picture", "image/png")}
    answer = client.post("/api/rooms", files=files, data={"consent": "true"})
    assert (answer.status_code, answer.json()["code"]) == (422, "many_faces")
    assert rooms.rooms == {}


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        ('{"avatar_id": "nobody"}', "application/json", 404, "avatar_not_found"),
        ("{}", "application/json", 422, "invalid_request"),
        ('{"avatar_id": "mara", "x": 1}', "application/json", 422, "invalid_request"),
        ("{", "application/json", 422, "invalid_request"),
        (" " * 20_000, "application/json", 413, "too_large"),
        ("avatar_id=mara", "text/plain", 415, "unsupported_media_type"),
        ("mara", "", 415, "unsupported_media_type"),
    ],
)
def test_bad_requests_for_a_room_are_refused(
    client: TestClient, body: str, kind: str, status: int, code: str
):
    answer = client.post("/api/rooms", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_without_livekit_there_is_no_room_and_no_live_call(
    client: TestClient, rooms: FakeRooms, services: Services
):
    rooms.down = True
    answer = client.post("/api/rooms", json={"avatar_id": "mara"})
    assert (answer.status_code, answer.json()["code"]) == (503, "livekit_unavailable")
    assert services.calls.store.live() == []


def test_a_room_tells_its_state(client: TestClient):
    created = call_mara(client)
    view = client.get(f"/api/rooms/{created['room']}").json()
    assert view["state"] == "created"
    assert view["avatar"] == {
        "id": "mara",
        "name": "Mara",
        "preview_url": "/api/avatars/mara/portrait",
    }
    assert view["livekit_url"] == created["livekit_url"]
    assert view["livekit_local"] is True
    assert view["expires_at"] == created["expires_at"]


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("asked", [None, True, False])
def test_whoever_opens_a_room_says_whether_words_are_written_down(
    client: TestClient, services: Services, rooms: FakeRooms, configured: bool, asked: bool | None
):
    settings = services.settings.model_copy(update={"transcript": configured})
    object.__setattr__(services.calls, "settings", settings)
    wanted = {} if asked is None else {"transcript": asked}
    files = {"portrait": ("me.png", b"picture", "image/png")}
    form = {"consent": "true", **{name: str(value) for name, value in wanted.items()}}
    for answer in (
        client.post("/api/rooms", json={"avatar_id": "mara", **wanted}),
        client.post("/api/rooms", files=files, data=form),
    ):
        room = answer.json()["room"]
        expected = configured if asked is None else asked
        assert CallJob.from_metadata(rooms.dispatches[room][0]).transcript is expected
        assert client.get(f"/api/rooms/{room}").json()["transcript"] is expected


def test_deleting_a_room_ends_the_call_for_everyone_and_keeps_the_record(
    client: TestClient, rooms: FakeRooms
):
    room = call_mara(client)["room"]
    view = client.delete(f"/api/rooms/{room}").json()
    assert (view["state"], view["end_reason"]) == ("ended", "deleted")
    assert room not in rooms.rooms
    assert client.get(f"/api/rooms/{room}").json() == view
    assert client.delete(f"/api/rooms/{room}").json() == view


def test_an_unknown_room_is_a_problem(client: TestClient):
    assert client.get("/api/rooms/call-x").json()["code"] == "room_not_found"
    assert client.delete("/api/rooms/call-x").status_code == 404


def test_an_avatar_without_a_picture_cannot_be_called(client: TestClient, services: Services):
    services.avatars.portraits.remove("tomas")
    answer = client.post("/api/rooms", json={"avatar_id": "tomas"})
    assert (answer.status_code, answer.json()["code"]) == (404, "portrait_not_found")


MOOD = {"expression": "warm", "strength": 0.5, "yaw_deg": -4}
"""Whole numbers will do for angles."""


def test_whoever_opens_a_room_sets_the_face_s_own_mood(client: TestClient, rooms: FakeRooms):
    files = {"portrait": ("me.png", b"picture", "image/png")}
    form = {"consent": "true", "mood": "surprised"}
    for answer, mood in (
        (
            client.post("/api/rooms", json={"avatar_id": "mara", "mood": MOOD}),
            Mood(expression="warm", strength=0.5, yaw_deg=-4.0),
        ),
        (client.post("/api/rooms", files=files, data=form), Mood(expression="surprised")),
        (client.post("/api/rooms", json={"avatar_id": "mara"}), None),
    ):
        assert answer.status_code == 201, answer.text
        room = answer.json()["room"]
        assert CallJob.from_metadata(rooms.dispatches[room][0]).mood == mood
        kept = mood and mood.model_dump()
        assert client.get(f"/api/rooms/{room}").json()["mood"] == kept


@pytest.mark.parametrize(
    ("mood", "field", "why"),
    [
        ({"expression": "angry"}, "expression", "'neutral', 'warm', 'serious' or 'surprised'"),
        ({"expression": "warm", "strength": 2}, "strength", "less than or equal to 1"),
        ({"yaw_deg": 40}, "yaw_deg", "less than or equal to 10"),
        ({"pitch_deg": "6"}, "pitch_deg", "valid number"),
        ({"smile": True}, "smile", "not permitted"),
    ],
)
def test_a_mood_that_no_face_can_have_is_refused_with_its_reason(
    client: TestClient, rooms: FakeRooms, mood: dict[str, object], field: str, why: str
):
    room = call_mara(client)["room"]
    before = len(rooms.rooms)
    for answer in (
        client.post("/api/rooms", json={"avatar_id": "mara", "mood": mood}),
        client.put(f"/api/rooms/{room}/mood", json=mood),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert [field] == [e["field"].rpartition(".")[2] for e in answer.json()["errors"]]
        assert why in answer.text
    assert len(rooms.rooms) == before
    assert not rooms.metadata


@pytest.mark.parametrize(
    "text", ["{", "angry", "[" * 8_000, "[" * 60_000, '{"strength": NaN}', "3"], ids=len
)
def test_a_mood_that_is_no_mood_at_all_is_refused(client: TestClient, text: str):
    room = call_mara(client)["room"]
    files = {"portrait": ("me.png", b"picture", "image/png")}
    form = client.post("/api/rooms", files=files, data={"consent": "true", "mood": text})
    assert (form.status_code, form.json()["code"]) == (422, "invalid_request")
    assert "'neutral', 'warm', 'serious' or 'surprised'" in form.json()["hint"]
    json_type = {"content-type": "application/json"}
    put = client.put(f"/api/rooms/{room}/mood", content=text, headers=json_type)
    assert put.status_code == (422 if len(text) <= MAX_JSON_BYTES else 413)


def test_a_running_calls_mood_reaches_its_agent_and_the_next_one(
    client: TestClient, rooms: FakeRooms, services: Services
):
    room = call_mara(client)["room"]
    answer = client.put(f"/api/rooms/{room}/mood", json=MOOD)
    wanted = Mood.model_validate({**MOOD, "yaw_deg": -4.0})
    assert answer.status_code == 200
    assert answer.json()["mood"] == {**MOOD, "pitch_deg": None}
    assert RoomState.from_metadata(rooms.metadata[room]).mood == wanted
    call = services.calls.store.get(room)
    assert call is not None
    assert CallJob.from_metadata(services.calls._agent(call).metadata).mood == wanted


def test_a_mood_that_livekit_was_not_told_of_is_kept_and_can_be_sent_again(
    client: TestClient, rooms: FakeRooms
):
    room = call_mara(client)["room"]
    rooms.down = True
    answer = client.put(f"/api/rooms/{room}/mood", json=MOOD)
    assert (answer.status_code, answer.json()["code"]) == (503, "livekit_unavailable")
    rooms.down = False
    assert client.put(f"/api/rooms/{room}/mood", json=MOOD).status_code == 200


def test_a_call_that_is_over_has_no_mood_to_set(client: TestClient, rooms: FakeRooms):
    room = call_mara(client)["room"]
    client.delete(f"/api/rooms/{room}")
    answer = client.put(f"/api/rooms/{room}/mood", json=MOOD)
    assert (answer.status_code, answer.json()["code"]) == (409, "call_ended")
    assert not rooms.metadata
    assert client.put("/api/rooms/call-x/mood", json=MOOD).status_code == 404
