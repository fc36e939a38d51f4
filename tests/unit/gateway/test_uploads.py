"""Upload limits hold while the body arrives."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from gateway.bodies import read_body
from gateway.errors import GatewayError
from gateway.uploads import FIELDS_BYTES, read_portrait_form
from tests.unit.gateway.conftest import FakeChecker

pytestmark = pytest.mark.unit

LIMIT = 64 * 1024
BOUNDARY = "--edge"
HEADERS = {"content-type": "multipart/form-data; boundary=edge"}
HEAD = (
    f'{BOUNDARY}\r\ncontent-disposition: form-data; name="portrait"; filename="a.png"\r\n\r\n'
).encode()
TAIL = f"\r\n{BOUNDARY}--\r\n".encode()


def request_of(chunks: list[bytes], **headers: str) -> tuple[Request, list[bytes]]:
    """A request whose body comes in chunks, and those that were not read yet."""
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in {**HEADERS, **headers}.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive), waiting


async def test_a_picture_within_the_limit_arrives_whole():
    picture = b"x" * LIMIT
    request, _ = request_of([HEAD, picture[:1000], picture[1000:], TAIL])
    assert (await read_portrait_form(request, LIMIT)).image == picture


async def test_no_picture_ever_is_in_a_file(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: object) -> None:
        pytest.fail("the upload went to the disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    picture = b"x" * (3 * 1024 * 1024)
    request, _ = request_of([HEAD, picture[:1_000_000], picture[1_000_000:], TAIL])
    assert (await read_portrait_form(request, len(picture))).image == picture


async def test_a_picture_just_over_the_limit_is_refused():
    request, _ = request_of([HEAD, b"x" * (LIMIT + 1), TAIL])
    with pytest.raises(GatewayError, match="too large") as refused:
        await read_portrait_form(request, LIMIT)
    assert refused.value.problem.status == 413


async def test_an_endless_body_is_read_no_further_than_the_drain_limit():
    block = b"x" * (1024 * 1024)
    request, waiting = request_of([HEAD, *[block] * 100])
    with pytest.raises(GatewayError, match="too large"):
        await read_portrait_form(request, LIMIT)
    assert 60 < len(waiting) < 75


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_parsed():
    length = LIMIT + FIELDS_BYTES + 1
    request, _ = request_of([b"not multipart at all"], content_length=str(length))
    with pytest.raises(GatewayError, match="too large"):
        await read_portrait_form(request, LIMIT)


async def test_a_client_that_waits_for_leave_sends_nothing():
    request, waiting = request_of([HEAD], content_length="999999999", expect="100-continue")
    with pytest.raises(GatewayError, match="too large"):
        await read_portrait_form(request, LIMIT)
    assert waiting == [HEAD]


async def test_the_hint_names_the_limit():
    request, _ = request_of([b""], content_length="999999999")
    with pytest.raises(GatewayError) as refused:
        await read_portrait_form(request, 12 * 1024 * 1024)
    assert refused.value.problem.hint == "Send a picture of at most 12 MB."


@pytest.mark.parametrize("files", [{}, {"picture": ("a.png", b"x")}])
def test_a_form_without_a_portrait_says_so(client: TestClient, files: dict[str, Any]):
    answer = client.post("/api/avatars", data={"name": "Ada"}, files=files or {"x": (None, "1")})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.portrait"


def test_a_portrait_sent_as_text_is_no_portrait(client: TestClient):
    answer = client.post("/api/avatars", files={"portrait": (None, "hello")})
    assert answer.json()["errors"][0]["field"] == "body.portrait"


def test_two_portraits_are_refused(client: TestClient):
    files = [("portrait", ("a.png", b"a")), ("portrait", ("b.png", b"b"))]
    answer = client.post("/api/avatars", data={"name": "Ada"}, files=files)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_broken_form_is_a_bad_request(client: TestClient):
    answer = client.post("/api/avatars", content=b"nonsense", headers=HEADERS)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_json_is_no_upload(client: TestClient):
    answer = client.post("/api/avatars", json={"name": "Ada"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_the_actor_never_sees_what_is_too_large(client: TestClient, checker: FakeChecker):
    checker.images.clear()
    files = {"portrait": ("a.png", b"x" * (LIMIT + 1), "image/png")}
    answer = client.post("/api/avatars", data={"name": "Ada"}, files=files)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert b"x" * (LIMIT + 1) not in checker.images


async def stalled(reads: Callable[[Request], Awaitable[object]]) -> GatewayError:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    request = Request({"type": "http", "method": "POST", "headers": raw}, receive)
    with pytest.raises(GatewayError) as refused:
        await reads(request)
    return refused.value


@pytest.mark.parametrize(
    "reads",
    [lambda request: read_portrait_form(request, LIMIT), lambda request: read_body(request, LIMIT)],
    ids=["form", "body"],
)
async def test_a_body_that_stalls_is_given_up(
    reads: Callable[[Request], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.bodies.STALL_S", 0.05)
    assert (await asyncio.wait_for(stalled(reads), 5)).problem.status == 408
