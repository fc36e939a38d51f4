"""/api/avatars and /api/voices."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gateway.consent import NOBODY_DEPICTED, UPLOADER_CONFIRMED, WORDING
from gateway.defaults import default_avatars
from gateway.deps import Services
from gateway.voices import voices
from services.paths import REPOSITORY
from tests.unit.gateway.conftest import CROP, FakeChecker

pytestmark = pytest.mark.unit

PICTURE = b"\xff\xd8\xff the uploaded picture"


def upload(client: TestClient, **fields: str) -> Any:
    files = {"portrait": ("me.jpg", PICTURE, "image/jpeg")}
    return client.post(
        "/api/avatars", data={"name": "Ada", "consent": "true", **fields}, files=files
    )


def test_an_accepted_portrait_becomes_an_avatar_with_the_crop_as_its_preview(
    client: TestClient, services: Services
):
    answer = upload(client, persona="A mathematician", voice="kokoro:bf_emma")
    assert answer.status_code == 201
    created = answer.json()
    assert set(created) == {"id", "name", "preview_url", "checks"}
    assert created["checks"] == {"yaw": 0.1}
    preview = client.get(created["preview_url"])
    assert preview.content == CROP
    assert preview.headers["content-type"] == "image/png"
    view = client.get(f"/api/avatars/{created['id']}").json()
    assert (view["persona"], view["voice"]) == ("A mathematician", "kokoro:bf_emma")
    assert not services.avatars.portraits.original(created["id"]).exists()


def test_the_consent_is_kept_with_its_wording_and_its_time(client: TestClient):
    before = datetime.now(UTC)
    view = client.get(f"/api/avatars/{upload(client).json()['id']}").json()
    assert view["consent"] == UPLOADER_CONFIRMED
    assert before <= datetime.fromisoformat(view["consented_at"]) <= datetime.now(UTC)
    shipped = client.get("/api/avatars/mara").json()
    assert (shipped["consent"], shipped["consented_at"]) == (NOBODY_DEPICTED, None)


@pytest.mark.parametrize("path", ["/api/avatars", "/api/rooms"])
@pytest.mark.parametrize("consent", [{}, {"consent": "false"}])
def test_without_consent_nobody_looks_at_the_picture(
    client: TestClient, checker: FakeChecker, path: str, consent: dict[str, str]
):
    files = {"portrait": ("me.jpg", PICTURE, "image/jpeg")}
    answer = client.post(path, data={"name": "Ada", **consent}, files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "consent_missing")
    assert "consent=true" in answer.json()["hint"]
    assert PICTURE not in checker.images
    assert all(avatar["is_default"] for avatar in client.get("/api/avatars").json())


def test_the_page_asks_with_the_wording_that_is_recorded():
    dialog = REPOSITORY / "gateway" / "web" / "src" / "home" / "upload-dialog.ts"
    assert f'"{WORDING}"' in dialog.read_text()


def test_an_avatar_without_a_voice_gets_the_default_one(client: TestClient):
    created = upload(client, voice="").json()
    assert client.get(f"/api/avatars/{created['id']}").json()["voice"] == "hibari"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("not_an_image", 415),
        ("too_large", 413),
        ("no_face", 422),
        ("many_faces", 422),
        ("too_small", 422),
        ("too_turned", 422),
        ("blurred", 422),
        ("not_a_person", 422),
        ("mouth_hidden", 422),
    ],
)
def test_a_refused_portrait_says_why_and_what_to_do(
    client: TestClient, checker: FakeChecker, code: str, status: int
):
    checker.code = code  # type: ignore[assignment]
    answer = upload(client)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert len(problem["hint"]) > 10
    assert [a["id"] for a in client.get("/api/avatars").json() if not a["is_default"]] == []


def test_the_hint_of_the_actor_goes_before_our_own(client: TestClient, checker: FakeChecker):
    checker.code, checker.hint = "too_turned", "The head is turned by 62 degrees."
    assert upload(client).json()["hint"] == "The head is turned by 62 degrees."


def test_without_a_verdict_the_upload_can_be_tried_again(client: TestClient, checker: FakeChecker):
    checker.silent = True
    answer = upload(client)
    assert answer.status_code == 503
    assert answer.json()["code"] == "actor_unavailable"
    assert answer.headers["retry-after"] == "2"


def test_an_acceptance_without_a_crop_is_no_verdict(client: TestClient, checker: FakeChecker):
    checker.with_crop = False
    assert upload(client).status_code == 503


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "  "}, "body.name"),
        ({"name": "x" * 81}, "body.name"),
        ({"persona": "x" * 2001}, "body.persona"),
        ({"voice": "kokoro:nobody"}, "body.voice"),
        ({"colour": "blue"}, "body.colour"),
        ({"consent": "maybe"}, "body.consent"),
    ],
)
def test_wrong_fields_are_named(client: TestClient, fields: dict[str, str], wrong: str):
    answer = upload(client, **fields)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_request"
    assert [error["field"] for error in problem["errors"]] == [wrong]


def test_defaults_come_first_in_shipped_order_then_uploads_newest_first(client: TestClient):
    older = upload(client).json()["id"]
    newer = upload(client).json()["id"]
    listed = [avatar["id"] for avatar in client.get("/api/avatars").json()]
    assert listed == [default.id for default in default_avatars()] + [newer, older]


def test_default_avatars_cannot_be_deleted(client: TestClient):
    answer = client.delete("/api/avatars/mara")
    assert answer.status_code == 409
    assert answer.json()["code"] == "default_avatar"
    assert client.get("/api/avatars/mara").status_code == 200


def test_a_deleted_avatar_leaves_neither_record_nor_pictures(
    client: TestClient, services: Services
):
    avatar_id = upload(client).json()["id"]
    assert client.delete(f"/api/avatars/{avatar_id}").status_code == 204
    assert client.get(f"/api/avatars/{avatar_id}").json()["code"] == "avatar_not_found"
    assert client.get(f"/api/avatars/{avatar_id}/portrait").status_code == 404
    assert client.delete(f"/api/avatars/{avatar_id}").status_code == 404
    assert services.avatars.portraits.best(avatar_id) is None


def test_a_record_whose_picture_vanished_has_no_preview(client: TestClient, services: Services):
    avatar_id = upload(client).json()["id"]
    services.avatars.portraits.remove(avatar_id)
    answer = client.get(f"/api/avatars/{avatar_id}/portrait")
    assert answer.status_code == 404
    assert answer.json()["code"] == "portrait_not_found"


def test_default_portraits_are_cropped_by_the_actor(client: TestClient, services: Services):
    deadline = time.monotonic() + 5
    last = services.avatars.portraits.crop(default_avatars()[-1].id)
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    for default in default_avatars():
        assert client.get(f"/api/avatars/{default.id}/portrait").content == CROP


def test_every_default_avatar_speaks_with_a_voice_that_exists(client: TestClient):
    offered = [voice["id"] for voice in client.get("/api/voices").json()]
    assert offered == list(voices())
    assert len(offered) == 29
    assert {default.voice for default in default_avatars()} <= set(offered)


def test_times_are_aware(client: TestClient):
    created_at = client.get("/api/avatars/mara").json()["created_at"]
    assert datetime.fromisoformat(created_at).tzinfo is not None
