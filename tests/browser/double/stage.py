"""Puts the double on stage: a LiveKit server of its own, a page that shows it, and a caller."""

import asyncio
import functools
import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection

from livekit import api, rtc

from services.bootstrap.livekit_server import find
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.recording import CallRecording
from services.paths import REPOSITORY, cache_paths
from tests.browser.double.publisher import Double, Script
from tests.conftest import free_ports

HERE = Path(__file__).parent
CLIENT = REPOSITORY / "gateway/web/node_modules/livekit-client/dist/livekit-client.umd.js"
KEY, SECRET = "double", "a-secret-of-the-double-32-characters"
START_WITHIN_S = 20.0


@dataclass(frozen=True)
class Stage:
    """Where the server and the page are."""

    livekit_url: str
    page_url: str


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Start the server and serve the page."""
    server = find(cache_paths(os.environ), os.environ)
    assert server is not None, "no LiveKit server; `make setup` builds it"
    signalling, tcp, udp = free_ports(3)
    config = folder / "livekit.json"
    config.write_text(json.dumps(_config(signalling, tcp, udp)))
    with (folder / "livekit.log").open("wb") as log:
        process = subprocess.Popen([server, "--config", config], stdout=log, stderr=log)
    (folder / "page.html").write_text((HERE / "page.html").read_text())
    (folder / "livekit-client.umd.js").write_bytes(CLIENT.read_bytes())
    pages = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))
    )
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    try:
        _await_port(signalling)
        yield Stage(
            f"ws://127.0.0.1:{signalling}", f"http://127.0.0.1:{pages.server_port}/page.html"
        )
    finally:
        pages.shutdown()
        process.kill()  # asked politely, it waits for the rooms to empty
        process.wait(10)


async def perform(
    where: Stage, script: Script, room_name: str, browser: CallbenchConfig
) -> tuple[CallRecording, Double]:
    """Play the script to a caller, who speaks once before."""
    double = Double(script)
    async with open_caller(browser) as caller:
        await caller.page.goto(where.page_url)
        await caller.page.evaluate(
            "([url, token]) => join(url, token)", [where.livekit_url, _token("caller", room_name)]
        )
        room = rtc.Room()
        await room.connect(where.livekit_url, _token("double", room_name))
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(double.run(room))
            await caller.wait_for_frame()
            await caller.say("france")
            while not playing.done():
                await caller.listen(0.5)
        await caller.listen(0.5)
        recording = await caller.recording()
        await room.disconnect()
    return recording, double


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def _config(signalling: int, tcp: int, udp: int) -> dict[str, object]:
    return {
        "port": signalling,
        "bind_addresses": ["127.0.0.1"],
        "keys": {KEY: SECRET},
        "rtc": {
            "tcp_port": tcp,
            "udp_port": udp,
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            "stun_servers": ["127.0.0.1:3478"],
        },
        "room": {"sync_streams": True},
    }


def _token(identity: str, room: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room)
    token = api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants)
    return token.with_room_config(api.RoomConfiguration(sync_streams=True)).to_jwt()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the LiveKit server did not start"
            time.sleep(0.1)
        else:
            return
