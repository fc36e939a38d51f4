"""A real page, gateway and LiveKit server with one place: who comes second waits and gets in."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from tests.browser.conftest import eventually
from tests.browser.double.stage import KEY, SECRET, stage
from tests.conftest import free_ports
from tests.integration.test_gateway_livekit import gateway_process

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

IN_TURN_MS = 15_000


@contextmanager
def agent_with_one_place() -> Iterator[tuple[str, threading.Event]]:
    """An agent's health port, and whether the gateway asked it twice: then it knows the answer."""
    asked: list[float] = []
    known = threading.Event()

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            if len(asked) > 1:
                known.set()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"ready": True, "max_calls": 1}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", known
    finally:
        server.shutdown()


@pytest.fixture
def full_house(tmp_path: Path) -> Iterator[tuple[httpx.Client, str]]:
    """A gateway whose only place is taken, and the room that has it."""
    (port,) = free_ports(1)
    with (
        agent_with_one_place() as (health, known),
        stage(tmp_path) as where,
        gateway_process(
            tmp_path,
            port,
            where.livekit_url,
            livekit_api_key=KEY,
            livekit_api_secret=SECRET,
            agent_health_url=health,
            ready_timeout_s="0.2",
            meter_interval_s="0.2",
        ) as rest,
    ):
        assert known.wait(10)
        room = rest.post("/api/rooms", json={"avatar_id": "mara"}).raise_for_status().json()["room"]
        yield rest, room


async def test_the_second_caller_waits_and_gets_in_when_the_first_leaves(
    full_house: tuple[httpx.Client, str], browser: CallbenchConfig, tmp_path: Path
) -> None:
    rest, taken = full_house
    async with open_caller(browser) as caller:
        page = caller.page
        waiting = page.get_by_test_id("waiting-text")
        await page.goto(str(rest.base_url))
        daniel = page.get_by_test_id("avatar-card-daniel").get_by_test_id("call-button")

        await daniel.click()
        await expect(waiting).to_have_text("You are number 1, about 3 minutes.")
        await page.get_by_test_id("waiting-cancel").click()
        await expect(waiting).not_to_be_visible()

        somebody = rest.post("/api/rooms", json={"avatar_id": "mara"}).json()
        ticket = {"XStreamer-Ticket": somebody["ticket"]}

        async def is_first() -> bool:
            again = rest.post("/api/rooms", json={"avatar_id": "mara"}, headers=ticket)
            return bool(again.json()["position"] == 1)

        await eventually(is_first, 5, "who cancelled does not stand before others")
        await daniel.click()
        await expect(waiting).to_have_text("You are number 2, about 6 minutes.")
        await page.screenshot(path=tmp_path / "waiting.png")

        rest.delete(f"/api/waiting/{somebody['ticket']}")
        rest.delete(f"/api/rooms/{taken}")
        await page.wait_for_url("**/call/**", timeout=IN_TURN_MS)
        room = page.url.partition("#")[0].rpartition("/")[2]
        await page.get_by_test_id("end-button").wait_for()
        assert not caller.complaints
    view = rest.get(f"/api/rooms/{room}").json()
    assert (view["avatar"]["id"], room == taken) == ("daniel", False)
