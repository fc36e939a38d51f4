"""LiveKit's own TURN server behind TLS, for callers whose network lets nothing but https through.

A TURN client of the test's own asks it for an address, as a browser does; `make network` cannot:
LiveKit's native client, who calls there, trusts no certificate but those of the authorities built
into it. Source: RFC 8489 (STUN), RFC 8656 (TURN).
"""

import asyncio
import hashlib
import hmac
import json
import os
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from livekit import api
from livekit.protocol.rtc import SignalResponse
from websockets.asyncio.client import connect

from services.bootstrap.livekit_server import find
from services.paths import cache_paths
from services.settings import GatewayTable, LiveKitTable
from services.supervisor.credentials import LiveKitKey
from services.supervisor.livekit_config import livekit_config
from tests.conftest import free_ports

pytestmark = pytest.mark.integration

KEY = LiveKitKey("testkey", "a-secret-of-at-least-32-characters")
DOMAIN = "turn.example.org"
COOKIE = struct.pack("!I", 0x2112A442)
ALLOCATE, ALLOCATED, REFUSED = 0x0003, 0x0103, 0x0113
USERNAME, INTEGRITY, ERROR, REALM, NONCE, RELAYED, TRANSPORT = 6, 8, 9, 0x14, 0x15, 0x16, 0x19
UDP = b"\x11\0\0\0"


@dataclass(frozen=True)
class Turn:
    """A LiveKit server with TURN over TLS."""

    url: str
    port: int
    certificate: Path


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turn]:
    """With the product's own configuration and a certificate that nobody signed."""
    program = find(cache_paths(os.environ), os.environ)
    if program is None:
        pytest.skip("LiveKit server is not built: run `make setup`")
    folder = tmp_path_factory.mktemp("turn")
    certificate, key_file = folder / "turn.pem", folder / "turn.key"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    request += ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
    subprocess.run(
        [*request, "-keyout", key_file, "-out", certificate], check=True, capture_output=True
    )
    port, tcp, udp, tls = free_ports(4)
    table = LiveKitTable(
        port=port,
        rtc_tcp_port=tcp,
        rtc_udp_port=udp,
        metrics_port=0,
        node_ip="127.0.0.1",
        turn_tls_port=tls,
        turn_domain=DOMAIN,
        turn_tls_cert=str(certificate),
        turn_tls_key=str(key_file),
    )
    settings = json.loads(livekit_config(table, GatewayTable(), KEY)) | {"webhook": {}}
    (folder / "livekit.json").write_text(json.dumps(settings))
    with (folder / "livekit.log").open("w") as log:
        server = subprocess.Popen(
            [program, "--config", folder / "livekit.json"], stdout=log, stderr=log
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}", folder / "livekit.log")
        yield Turn(f"ws://127.0.0.1:{port}", tls, certificate)
    finally:
        server.terminate()
        server.wait(10)


async def test_a_caller_of_a_room_gets_an_address_and_a_stranger_gets_none(turn: Turn) -> None:
    url, username, password = await _credentials(turn.url)
    assert url == f"turns:{DOMAIN}:443?transport=tcp"
    trusting = ssl.create_default_context(cafile=str(turn.certificate))
    assert RELAYED in await _allocate(turn.port, trusting, username, password)
    refused = await _allocate(turn.port, trusting, username, "a guess")
    assert RELAYED not in refused
    assert ERROR in refused


async def test_who_does_not_trust_the_certificate_says_nothing_to_it(turn: Turn) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await _allocate(turn.port, ssl.create_default_context(), "somebody", "")


async def _credentials(url: str) -> tuple[str, str, str]:
    """Where a caller is sent, and what opens it there, as LiveKit tells who joins."""
    grants = api.VideoGrants(room_join=True, room="a-room")
    token = api.AccessToken(KEY.api_key, KEY.api_secret).with_identity("caller").with_grants(grants)
    query = f"access_token={token.to_jwt()}&protocol=16&auto_subscribe=1"
    async with connect(f"{url}/rtc?{query}") as socket, asyncio.timeout(5):
        joined = SignalResponse.FromString(await socket.recv(decode=False)).join
    (server,) = [one for one in joined.ice_servers if one.username]
    return server.urls[0], server.username, server.credential


async def _allocate(
    port: int, trusting: ssl.SSLContext, username: str, password: str
) -> dict[int, bytes]:
    """Ask for an address, first without saying who, as RFC 8489 section 9.2 wants; the answer."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting, server_hostname=DOMAIN
    )
    try:
        async with asyncio.timeout(5):
            writer.write(_request({TRANSPORT: UDP}))
            kind, asked = await _answer(reader)
            assert (kind, ERROR in asked) == (REFUSED, True)
            known = {USERNAME: username.encode(), REALM: asked[REALM], NONCE: asked[NONCE]}
            secret = b":".join((username.encode(), asked[REALM], password.encode()))
            key = hashlib.md5(secret, usedforsecurity=False).digest()
            writer.write(_request({TRANSPORT: UDP, **known}, key))
            kind, answer = await _answer(reader)
    finally:
        writer.close()
    assert kind == (ALLOCATED if RELAYED in answer else REFUSED)
    return answer


def _request(attributes: dict[int, bytes], key: bytes | None = None) -> bytes:
    """An Allocate request, signed if there is a key."""
    body = b"".join(_attribute(kind, value) for kind, value in attributes.items())
    whose = os.urandom(12)
    if key is not None:
        signed = struct.pack("!HH", ALLOCATE, len(body) + 24) + COOKIE + whose + body
        body += _attribute(INTEGRITY, hmac.digest(key, signed, "sha1"))
    return struct.pack("!HH", ALLOCATE, len(body)) + COOKIE + whose + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[int, bytes]]:
    """Kind and attributes."""
    kind, length = struct.unpack("!HH16x", await reader.readexactly(20))
    body, attributes = await reader.readexactly(length), {}
    while body:
        name, size = struct.unpack_from("!HH", body)
        attributes[name] = body[4 : 4 + size]
        body = body[4 + size + -size % 4 :]
    return kind, attributes


def _await_answer(url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=1, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    pytest.fail(f"LiveKit did not start:\n{log.read_text()}")
