"""Where a turn's time went: in the call, on the dashboard, and against what was really heard."""

from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.async_api import BrowserContext

from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.measure import measure
from services.callbench.screenshot import WINDOW, photograph_dashboard
from tests.conftest import Stack

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_S = 40.0
CLOCKS_KNOWN_AFTER_S = 10
"""A browser knows how sound and picture lie together from reports that senders make every 2.5 to
7.5 s (RFC 3550, 6.2); the sound of an earlier answer has no time in its trace."""
AGREEMENT_MS = 200
AGREEMENT_SHARE = 0.1
"""The trace tells when the answer left the jitter buffer, the record when it was loud enough; on
a machine that is late by seconds both waver."""


async def test_a_turn_can_be_looked_at_in_the_call_and_on_the_dashboard(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.call("mara")
        await caller.listen(CLOCKS_KNOWN_AFTER_S)
        latency = caller.page.get_by_test_id("latency")
        assert not await latency.is_visible()
        spoken = await caller.say("france")
        await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)
        await page.hear_out(1)
        await latency.wait_for(timeout=5000)
        assert (await latency.inner_text()).endswith(" s")

        summary = caller.page.locator("details.latency > summary")
        await summary.focus()
        await caller.page.keyboard.press("Enter")
        waterfall = caller.page.locator("details.latency").get_by_test_id("waterfall")
        await waterfall.wait_for()
        assert await waterfall.locator('[data-stage="face_downlink"]').count() == 1
        await caller.page.keyboard.press("Escape")
        await waterfall.wait_for(state="hidden")
        assert await summary.evaluate("element => element === document.activeElement")

        recording = await caller.recording()
        (turn,) = (await rest.get(f"/api/rooms/{page.room}/turns")).json()
        await _look_at_dashboard(caller.page.context, stack, turn["id"])
        picture = tmp_path / "dashboard.png"
        await photograph_dashboard(caller.page.context, stack.gateway_url, picture)
        with Image.open(picture) as image:
            assert image.width == WINDOW[0]
            assert image.height > WINDOW[1], "the stages below belong to it"
        await page.end()
        assert not caller.complaints
    points = turn["points"]
    assert points["voice_end"] == 0 < points["turn_decided"] <= points["frame_captured"]
    assert points["frame_captured"] <= points["face_rendered"] + turn["clock_error_ms"]
    (measured,) = measure(recording).turns
    assert measured.voice_to_voice_ms is not None
    assert turn["voice_to_voice_ms"] == pytest.approx(
        measured.voice_to_voice_ms, abs=AGREEMENT_MS, rel=AGREEMENT_SHARE
    )


async def _look_at_dashboard(context: BrowserContext, stack: Stack, turn_id: int) -> None:
    """A second tab of the same browser shows the call that is on, and its turn."""
    page = await context.new_page()
    await page.goto(f"{stack.gateway_url}/dashboard")
    await page.get_by_test_id("waterfall").wait_for(timeout=10_000)
    button = page.get_by_test_id("turns").locator(f'[data-turn="{turn_id}"]')
    await button.wait_for()
    assert await button.get_attribute("aria-pressed") == "true"
    await page.get_by_test_id("stages").locator('[data-stage="decode"]').wait_for()
    live = page.get_by_test_id("live-calls")
    assert "Mara" in await live.inner_text()
    await page.close()
