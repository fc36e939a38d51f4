"""Requests that no honest client sends are refused with a problem, never with a crash."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from livekit import api
from sqlalchemy.exc import DataError

from gateway.deps import Services
from gateway.routes.webhook import MAX_EVENT_BYTES
from gateway.store.avatars import AvatarStore
from services.room_agent.gateway_line import report_claim, signature
from tests.fuzz.rest import fuzz_rest
from tests.unit.gateway.conftest import KEY, SECRET
from tests.unit.gateway.turn_reports import ADDRESS, a_turn

pytestmark = pytest.mark.unit

REQUESTS_EACH = 20
"""For each operation; `make fuzz` makes more."""


def test_every_route_answers_as_its_document_says() -> None:
    figures = fuzz_rest(REQUESTS_EACH)
    assert not figures.findings
    assert figures.taken > 50


CHARSETS = ("undefined", "punycode", "idna", "unicode_escape", "utf-16", "rot13", "x" * 5000)
VALUES = (b"x", b"\\ud800", b"\xff\xfe", b"xn--\xff", b"\x00")


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda name: name[:20])
def test_no_charset_of_a_form_is_a_crash(client: TestClient, charset: str) -> None:
    fields = [pair for value in VALUES for pair in ((b"name", value), (value, b"Mara"))]
    for name, text in fields:
        body = b'--B\r\nContent-Disposition: form-data; name="portrait"; filename="a"\r\n\r\nx\r\n'
        body += b'--B\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + text
        kind = f"multipart/form-data; boundary=B; charset={charset}"
        answer = client.post(
            "/api/avatars", content=body + b"\r\n--B--\r\n", headers={"content-type": kind}
        )
        assert answer.status_code in {201, 400, 422}


@pytest.mark.parametrize(
    "path",
    [
        "/assets/%00",
        "/swagger/%00",
        "/%00.svg",
        "/assets/" + "a" * 5000,
        "/assets/" + "../" * 1000 + "etc/passwd",
        "/api/avatars/%00",
        "/api/rooms/%ff/turns",
        "/api/avatars/..%2f..%2fetc%2fpasswd",
    ],
    ids=lambda path: path[:24],
)
def test_paths_to_nothing_are_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("turn", ["0", "-1", "9" * 30, "9" * 5000, "%00", "1e5"], ids=len)
def test_a_turn_that_no_number_names_is_invalid(client: TestClient, turn: str) -> None:
    assert client.get(f"/api/turns/{turn}").status_code == 422


def test_a_length_of_very_many_digits_is_too_large(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=B", "content-length": "9" * 5000}
    assert client.post("/api/avatars", content=b"", headers=headers).status_code == 413


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "x:99999999", "%00", "a;script-src *", ""])
def test_a_host_that_is_none_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/avatars", headers={"host": host})
    assert answer.json()["code"] in ("bad_host", "wrong_host")


WEBHOOK = "/api/livekit/webhook"
REPORTS = "/api/calls/call-1/reports"
GARBAGE = (
    b"",
    b"null",
    b"\xff",
    b"[" * 50_000,
    b'{"a":' * 40_000,
    b"9" * 10_000,
    b'{"event":1}',
    b'{"createdAt":"' + b"9" * 6000 + b'"}',
    b'{"event":"participant_joined","participant":{"kind":99},"room":{"name":"\\u0000"}}',
)


def a_report_of(**changes: Any) -> bytes:
    turn = json.loads(a_turn().model_dump_json()) | changes
    return json.dumps({"phase": "speaking", "turns": [turn]}).encode()


@pytest.mark.parametrize("path", [WEBHOOK, REPORTS])
def test_signed_garbage_is_refused(client: TestClient, path: str) -> None:
    for body in GARBAGE:
        claim = body if path == WEBHOOK else report_claim("call-1", body)
        headers = {"authorization": signature(ADDRESS, claim)}
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code in {204, 401, 422}, body[:40]


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", 1e300, ""],
)
def test_a_turn_at_an_impossible_time_is_refused(client: TestClient, moment: object) -> None:
    room = client.post("/api/rooms", json={"avatar_id": "mara"}).json()["room"]
    body = a_report_of(voice_end_at=moment)
    headers = {"authorization": signature(ADDRESS, report_claim(room, body))}
    answer = client.post(f"/api/calls/{room}/reports", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_report")


@pytest.mark.parametrize("path", [WEBHOOK, REPORTS])
@pytest.mark.parametrize(
    "token", ["", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "W10.W10.W10", "x" * 100_000], ids=len
)
def test_a_signature_that_is_none_is_refused(client: TestClient, path: str, token: str) -> None:
    assert client.post(path, content=b"{}", headers={"authorization": token}).status_code == 401


@pytest.mark.parametrize("digest", [1, None, [], "é"])
def test_claims_of_a_wrong_type_are_refused(client: TestClient, digest: object) -> None:
    token = api.AccessToken(KEY, SECRET)
    token.claims.sha256 = digest  # type: ignore[assignment]
    headers = {"authorization": token.to_jwt()}
    assert client.post(WEBHOOK, content=b"{}", headers=headers).status_code == 401


def test_a_large_event_is_refused(client: TestClient) -> None:
    assert client.post(WEBHOOK, content=bytes(MAX_EVENT_BYTES + 1)).status_code == 413


def test_what_the_database_cannot_store_is_the_clients_mistake(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_store: AvatarStore, _avatar_id: str) -> None:
        raise DataError("SELECT", {}, ValueError("text cannot contain NUL"))

    monkeypatch.setattr(AvatarStore, "get", refuse)
    answer = client.get("/api/avatars/%00")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
