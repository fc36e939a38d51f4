"""The LiveKit server dies in the middle of a call: the page says so, and the same call goes on."""

import os
import signal

import httpx
import pytest

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, open_caller
from services.callbench.config import CallbenchConfig
from tests.browser.conftest import eventually
from tests.conftest import Stack

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_S = 25.0
TOLD_WITHIN_MS = 10_000
BACK_WITHIN_S = 30.0
FRESH_S = 1.0
QUESTION = "What is the capital of France?"


async def test_the_page_says_that_it_reconnects_and_the_same_call_goes_on(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient
) -> None:
    async with open_caller(browser) as caller:
        page = CallPage(caller, stack.gateway_url)
        await page.call("mara")
        await _ask(caller, page)
        room = page.room
        os.kill(stack.state()["processes"]["livekit"]["pid"], signal.SIGKILL)
        state = caller.page.get_by_test_id("state")
        await state.filter(has_text="Reconnecting").wait_for(timeout=TOLD_WITHIN_MS)

        async def listens() -> bool:
            return await page.state() == "listening" and stack.is_ready()

        async def moves() -> bool:
            shown = (await caller.recording()).frames.at_s
            return bool(shown[-1] > await caller.now_s() - FRESH_S)

        await eventually(listens, BACK_WITHIN_S, "the avatar listens again")
        await eventually(moves, BACK_WITHIN_S, "its face moves again", every_s=1.0)
        await _ask(caller, page)
        captions = await page.captions()
        view = (await rest.get(f"/api/rooms/{room}")).json()
        await page.end()
        assert not caller.complaints
    assert [line.partition(": ")[0] for line in captions] == ["You", "Mara"] * 2
    assert captions[2] == f"You: {QUESTION}"
    assert "paris" in captions[3].lower()
    assert (page.room, view["state"]) == (room, "active")
    assert view["dispatches"] == 1, "the same agent answers"


async def _ask(caller: Caller, page: CallPage) -> None:
    asked_s = await caller.now_s()
    await page.type_message(QUESTION)
    await caller.wait_for_voice(asked_s, ANSWER_WITHIN_S)
    await page.hear_out(1)
