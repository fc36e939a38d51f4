"""The signalling proxy in front of a small websocket server in place of LiveKit."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from gateway.deps import Services
from gateway.signal_proxy import upstream_url

pytestmark = pytest.mark.unit


@dataclass
class Upstream:
    """Echoes what it is sent; closes on "bye"; refuses the token "bad"."""

    port: int = 0
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append((request.path, request.headers.get("Authorization")))
        return connection.respond(401, "bad token") if "bad" in request.path else None

    def echo(self, connection: ServerConnection) -> None:
        for message in connection:
            if message == "bye":
                break
            if message == "crash":
                connection.close(1011)
                break
            connection.send(message)
        self.closed.set()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    with serve(upstream.echo, "127.0.0.1", 0, process_request=upstream.refuse) as server:
        upstream.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield upstream
        server.shutdown()
        thread.join()


@pytest.fixture
def proxied(client: TestClient, services: Services, upstream: Upstream) -> TestClient:
    url = f"ws://127.0.0.1:{upstream.port}"
    settings = services.settings.model_copy(update={"livekit_url": url})
    object.__setattr__(services, "settings", settings)
    return client


@pytest.mark.parametrize("path", ["rtc", "rtc/v1"])
def test_messages_pass_both_ways_unchanged(proxied: TestClient, upstream: Upstream, path: str):
    with proxied.websocket_connect(f"/livekit/{path}?access_token=good&x=1") as socket:
        socket.send_bytes(b"\x00\xff")
        assert socket.receive_bytes() == b"\x00\xff"
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    assert upstream.requests == [(f"/{path}?access_token=good&x=1", None)]
    assert upstream.closed.wait(5), "livekit must learn that the browser left"


def test_a_token_in_the_header_is_passed_on(proxied: TestClient, upstream: Upstream):
    headers = {"authorization": "Bearer good"}
    with proxied.websocket_connect("/livekit/rtc", headers=headers):
        pass
    assert upstream.requests == [("/rtc", "Bearer good")]


@pytest.mark.parametrize(("word", "code"), [("bye", 1000), ("crash", 1001)])
def test_when_livekit_closes_the_browser_is_told(proxied: TestClient, word: str, code: int):
    with proxied.websocket_connect("/livekit/rtc") as socket:
        socket.send_text(word)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == code


def test_a_refused_token_is_refused_with_the_same_status(proxied: TestClient):
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        proxied.websocket_connect("/livekit/rtc?access_token=bad"),
    ):
        pass
    assert refused.value.status_code == 401


def test_without_livekit_the_connection_is_refused(client: TestClient, services: Services):
    settings = services.settings.model_copy(update={"livekit_url": "ws://127.0.0.1:9"})
    object.__setattr__(services, "settings", settings)
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/livekit/rtc"),
    ):
        pass
    assert refused.value.status_code == 503
    assert client.get("/livekit/rtc/validate").json()["code"] == "livekit_unavailable"


def test_clients_may_ask_why_they_were_refused(client: TestClient, services: Services):
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(401, text="invalid token")

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    object.__setattr__(services, "http", http)
    found = client.get("/livekit/rtc/v1/validate?access_token=x")
    assert (found.status_code, found.text) == (401, "invalid token")
    assert seen == ["http://127.0.0.1:7880/rtc/v1/validate?access_token=x"]


def test_livekits_administration_is_not_proxied(proxied: TestClient, upstream: Upstream):
    assert proxied.post("/livekit/twirp/livekit.RoomService/ListRooms").status_code == 404
    with (
        pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
        proxied.websocket_connect("/livekit/agent"),
    ):
        pass
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("base", "websocket", "expected"),
    [
        ("ws://lk:7880", True, "ws://lk:7880/rtc?a=1"),
        ("http://lk:7880/", True, "ws://lk:7880/rtc?a=1"),
        ("https://lk/base/", True, "wss://lk/base/rtc?a=1"),
        ("wss://lk/base", False, "https://lk/base/rtc?a=1"),
        ("ws://lk", False, "http://lk/rtc?a=1"),
    ],
)
def test_upstream_addresses_keep_host_path_and_security(base: str, websocket: bool, expected: str):
    assert upstream_url(base, "rtc", "a=1", websocket=websocket) == expected
