"""The signalling proxy on a real socket: no bytes that a client sends make the gateway fail."""

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import FakeChecker, FakeMeter, FakeRooms
from tests.unit.gateway.test_signal_proxy import Upstream, upstream

__all__ = ["upstream"]
pytestmark = pytest.mark.unit

SIGNAL = "/livekit/rtc", "/livekit/rtc/v1"
CHECKS = tuple(f"{path}/validate" for path in SIGNAL)
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
CLOSE = b"Connection: close\r\n"
REFUSED = range(400, 500)
TIMEOUT_S = 10
in_the_line = st.binary(max_size=60).filter(lambda value: not set(value) & set(b"\r\n "))
in_a_header = st.binary(max_size=60).filter(lambda value: not set(value) & set(b"\r\n"))
without_controls = in_a_header.filter(
    lambda value: not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", value)
)
"""An upgrade with others in a header never reaches the application: uvicorn 0.54 leaves it without
an answer until the client goes, as it does with a client that sends nothing.
"""


@pytest.fixture
def port(
    settings: GatewaySettings, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> Iterator[int]:
    """A served gateway, in front of the websocket server in place of LiveKit. Nothing may fail."""
    ours = settings.model_copy(update={"livekit_url": f"ws://127.0.0.1:{upstream.port}"})
    app = create_app(ours, checker=FakeChecker(), room_server=FakeRooms(), meter=FakeMeter())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def answer(port: int, head: bytes, *frames: bytes) -> bytes:
    """What comes back for these bytes, until the server ends it or says nothing more."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        client.sendall(head)
        while b"\r\n\r\n" not in received:
            if not (part := client.recv(4096)):
                return received
            received += part
        with suppress(OSError):  # the server may have ended it already
            for frame in frames:
                client.sendall(frame)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(4096):
                received += part
    return received


def request(path: str, query: bytes, authorization: bytes, more: bytes) -> bytes:
    """A request as its bytes."""
    line = b"GET " + path.encode() + b"?" + query + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return line + more + b"Authorization: " + authorization + b"\r\n\r\n"


def status(received: bytes) -> int:
    """Of the answer; 400 where the connection was closed without one."""
    return int(received.split(b" ", 2)[1]) if received else 400


slow = hypothesis_settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@slow
@given(path=st.sampled_from(CHECKS), query=in_the_line, authorization=in_a_header)
@example(CHECKS[0], b"\xff\xfe", b"")
@example(CHECKS[0], b"access_token=\x7f", b"Bearer \xff")
@example(CHECKS[0], b"#[", b"\x00")
def test_no_question_why_is_a_crash(
    port: int, path: str, query: bytes, authorization: bytes
) -> None:
    # The stand-in speaks websockets only: it closes on plain requests, so LiveKit "does not answer"
    found = status(answer(port, request(path, query, authorization, CLOSE)))
    assert found in REFUSED or found == 503


@slow
@given(path=st.sampled_from(SIGNAL), query=in_the_line, authorization=without_controls)
@example(SIGNAL[0], b"\xff\xfe", b"")
@example(SIGNAL[0], b"access_token=\x7f", b"Bearer \xff")
@example(SIGNAL[0], b"#[", b"\t")
def test_no_token_is_a_crash(port: int, path: str, query: bytes, authorization: bytes) -> None:
    found = status(answer(port, request(path, query, authorization, UPGRADE), b"\x88\x80\0\0\0\0"))
    assert found in REFUSED or found == 101


@slow
@given(frames=st.lists(st.binary(max_size=200), max_size=5))
@example([b"\x81\x82\0\0\0\0\xff\xff"])
@example([b"\x82\xff" + b"\xff" * 8])
def test_no_frame_is_a_crash_and_the_next_client_is_served(port: int, frames: list[bytes]) -> None:
    head = request(SIGNAL[0], b"access_token=good", b"Bearer good", UPGRADE)
    assert status(answer(port, head, *frames)) == 101
    assert status(answer(port, head, b"\x88\x80\0\0\0\0")) == 101
