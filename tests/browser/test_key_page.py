"""A page that asks for a key, in a real browser: a stranger's field, and the printed address."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, Route, async_playwright

from services.callbench.config import CallbenchConfig
from tests.browser.conftest import eventually
from tests.conftest import free_ports

pytestmark = pytest.mark.browser

KEY = "the-key-of-the-printed-address-0123456789"
LIVEKIT = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a-secret-of-32-characters-or-more"}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """A gateway that wants keys; nothing else runs, so nobody can be called."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XSTREAMER_")}
    (port,) = free_ports(1)
    settings = {
        **LIVEKIT,
        "PORT": str(port),
        "DATA_DIR": str(tmp_path),
        "REQUIRE_KEYS": "true",
        "ADMIN_KEY": KEY,
        "LIVEKIT_URL": "ws://127.0.0.1:9",
        "ACTOR_ENDPOINT": f"ipc://{tmp_path}/actor",
        "THINKER_ENDPOINT": f"ipc://{tmp_path}/thinker",
    }
    env = kept | {f"XSTREAMER_GATEWAY_{name}": value for name, value in settings.items()}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=env, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)
    assert KEY not in (tmp_path / "log").read_text()


@asynccontextmanager
async def opened(browser: CallbenchConfig, gateway: str) -> AsyncIterator[Page]:
    async def answers() -> bool:
        try:
            return httpx.get(f"{gateway}/healthz", trust_env=False).is_success  # noqa: ASYNC210
        except httpx.TransportError:
            return False

    await eventually(answers, 40, "the gateway answers")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=browser.chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield await chromium.new_page()
        await chromium.close()


async def test_a_stranger_sees_a_field_and_a_key_opens_it(
    browser: CallbenchConfig, gateway: str
) -> None:
    async with opened(browser, gateway) as page:
        await page.goto(gateway)
        await page.get_by_test_id("key-page").wait_for()
        assert await page.get_by_test_id("call-button").count() == 0
        await page.get_by_test_id("key-input").fill("xs_wrong")
        await page.get_by_test_id("key-submit").click()
        await page.get_by_text("This key opens nothing here").wait_for()
        await page.get_by_test_id("key-input").fill(KEY)
        await page.get_by_test_id("key-submit").click()
        await page.get_by_test_id("avatar-card-mara").wait_for()
        await page.reload()
        await page.get_by_test_id("avatar-card-mara").wait_for()
        await page.goto(f"{gateway}/dashboard")
        await page.get_by_test_id("live-calls").wait_for()
        assert await page.get_by_test_id("key-page").count() == 0


async def test_the_printed_address_opens_and_leaves_no_key_behind(
    browser: CallbenchConfig, gateway: str
) -> None:
    async with opened(browser, gateway) as page:
        await page.goto(f"{gateway}/#key={KEY}")
        await page.get_by_test_id("avatar-card-mara").wait_for()
        assert page.url == f"{gateway}/"
        assert await page.evaluate("document.cookie") == ""
        (cookie,) = await page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (
            "xs_session",
            True,
            "Strict",
        )
        assert KEY not in str(cookie)


async def test_a_page_of_another_site_can_do_nothing_with_the_cookie(
    browser: CallbenchConfig, gateway: str
) -> None:
    forged = """<form method=post enctype=text/plain><input name=x></form>
    <script>document.forms[0].action = location.hash.slice(1);
    document.forms[0].submit()</script>"""

    async def evil(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=forged)

    async with opened(browser, gateway) as page:
        await page.goto(f"{gateway}/#key={KEY}")
        await page.get_by_test_id("avatar-card-mara").wait_for()
        await page.route("http://evil.example/**", evil)
        async with page.expect_response(f"{gateway}/api/rooms") as answered:
            await page.goto(f"http://evil.example/#{gateway}/api/rooms")
        answer = await answered.value
        assert (answer.status, (await answer.json())["code"]) == (403, "cross_site")
        assert "cookie" not in await answer.request.all_headers()
