"""The pages as people use them: typing, muting, keyboard alone, refusals, a phone."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.transcribe import transcribe
from services.callbench.waveform import voiced_spans
from tests.browser.conftest import eventually
from tests.browser.test_two_calls import active_jobs, engine_sessions
from tests.conftest import Stack

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_S = 25.0
FREED_WITHIN_S = 15.0
PHONE = (390, 844)
MUTED_S = 4.0


async def test_a_typed_message_is_answered_aloud_and_hanging_up_frees_everything(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.call("mara")
        room = page.room
        assert not await caller.page.get_by_test_id("camera-button").is_visible(), "nothing looks"
        asked_s = await caller.now_s()
        await page.type_message("What is the capital of France?")
        await caller.wait_for_voice(asked_s, ANSWER_WITHIN_S)
        await page.hear_out(2)
        final = caller.page.locator('[data-testid="caption-avatar"][data-final="true"]')
        await final.wait_for(timeout=5000)
        captions = await page.captions()
        sound = (await caller.recording()).sound
        await page.end()
        assert not caller.complaints
    assert captions[0] == "You: What is the capital of France?"
    assert captions[1].startswith("Mara: ")
    assert "paris" in captions[1].lower()
    assert "paris" in transcribe(sound, voiced_spans(sound)).lower()

    async def freed() -> bool:
        ended = (await rest.get(f"/api/rooms/{room}")).json()["state"] == "ended"
        return ended and await engine_sessions(stack) == 0 and await active_jobs(stack) == 0

    await eventually(freed, FREED_WITHIN_S, "room, job and sessions are gone")


async def test_what_is_said_while_it_still_rings_is_heard(
    stack: Stack, browser: CallbenchConfig
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.open_home()
        await caller.page.get_by_test_id("avatar-card-mara").get_by_test_id("call-button").click()
        await caller.page.get_by_test_id("mic-button").wait_for()
        asked = await caller.say("france")
        await caller.wait_for_voice(asked.voice_end_s, ANSWER_WITHIN_S)
        await page.hear_out(1)
        captions = await page.captions()
        room = page.room
        await page.end()
        assert not caller.complaints
    assert "capital of france" in captions[0].lower()
    assert "paris" in captions[1].lower()
    recorded = re.search(rf"pre-connect audio seconds=([\d.]+) ended=\w+ call={room}", stack.log("agent"))
    assert recorded is not None
    assert float(recorded[1]) > 0.1


async def test_the_keyboard_alone_is_enough_and_a_muted_caller_is_not_heard(
    stack: Stack, browser: CallbenchConfig
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.open_home()
        await caller.page.get_by_test_id("avatar-card-mara").wait_for()
        await _tab_to(caller, "call-button")
        await caller.page.keyboard.press("Enter")
        await caller.wait_for_frame()
        microphone = caller.page.get_by_test_id("mic-button")
        await eventually(_is(caller, "mic-button", "on", "true"), 10, "the microphone is on")

        await caller.page.keyboard.press("m")
        await eventually(_is(caller, "mic-button", "on", "false"), 5, "the microphone is muted")
        assert await microphone.get_attribute("aria-pressed") == "true"
        await caller.say("france")
        await caller.listen(MUTED_S)
        assert await page.captions() == []
        assert not voiced_spans((await caller.recording()).sound)

        await _tab_to(caller, "end-button")
        await caller.page.keyboard.press("Enter")
        await caller.page.get_by_test_id("ended").wait_for()
        assert await _focused(caller) == "home-button"
        await caller.page.keyboard.press("Enter")
        await caller.page.get_by_test_id("avatar-card-mara").wait_for()


async def test_a_bad_portrait_is_refused_with_its_reason_and_what_to_do(
    stack: Stack, browser: CallbenchConfig, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("This is no picture.")
    landscape = tmp_path / "landscape.png"
    _landscape().save(landscape)
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.open_home()
        for picture, code in ((text, "not_an_image"), (landscape, "no_face")):
            await page.choose_portrait(picture, "Nobody")
            await caller.page.get_by_test_id("upload-save").click()
            reason = await page.refusal()
            error = caller.page.get_by_test_id("upload-error")
            assert await error.get_attribute("data-code") == code
            title, _, hint = reason.partition("\n")
            assert len(title) > 5
            assert len(hint) > 10
        assert await page.dialog_is_open()


async def test_a_phone_shows_the_whole_call_without_scrolling_sideways(
    stack: Stack, browser: CallbenchConfig
) -> None:
    async with open_caller(browser, viewport=PHONE) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.open_home()
        await caller.page.get_by_test_id("avatar-card-mara").wait_for()
        assert await _overflow(caller) <= 0
        await page.call("mara")
        assert await _overflow(caller) <= 0
        for control in ("mic-button", "end-button", "chat-input"):
            box = await caller.page.get_by_test_id(control).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE[0]
            assert box["y"] + box["height"] <= PHONE[1]
        for button in ("mic-button", "end-button"):
            box = await caller.page.get_by_test_id(button).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 40  # for fingers
        await page.end()


async def _tab_to(caller: Caller, test_id: str) -> None:
    for _ in range(30):
        await caller.page.keyboard.press("Tab")
        if await _focused(caller) == test_id:
            return
    pytest.fail(f"{test_id} cannot be reached with the tab key")


async def _focused(caller: Caller) -> str:
    return str(await caller.page.evaluate("document.activeElement?.dataset.testid ?? ''"))


def _is(caller: Caller, test_id: str, key: str, value: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await caller.page.get_by_test_id(test_id).get_attribute(f"data-{key}") == value

    return check


async def _overflow(caller: Caller) -> int:
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(await caller.page.evaluate(script))


def _landscape() -> Image.Image:
    """Sky, hills and grass: sharp, colourful, nobody there."""
    rows, columns = np.mgrid[0:600, 0:800]
    hills = 330 + 40 * np.sin(columns / 90) + 15 * np.sin(columns / 23)
    grain = np.random.default_rng(1).integers(-25, 25, (600, 800, 1))
    ground = (rows > hills)[..., None]
    picture = np.where(ground, [70, 120, 50], [120, 170, 230]) + grain
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
