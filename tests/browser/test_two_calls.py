"""Two callers at the same time: each sees its own face and hears its own answers."""

import asyncio

import httpx
import pytest

from proto.messages import EngineStatus, Ping
from proto.wire.sockets import request
from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.measure import answered
from services.callbench.recording import CallRecording
from services.callbench.transcribe import transcribe
from services.callbench.transport import frame_rate
from services.callbench.waveform import Span
from tests.browser.conftest import eventually, likeness
from tests.conftest import Stack

pytestmark = pytest.mark.browser

ANSWER_WITHIN_S = 40.0
FREED_WITHIN_S = 45.0  # LiveKit waits 15 s for a browser that went away without a word
CALLS = (("mara", "france", "paris"), ("daniel", "italy", "rome"))


async def test_two_calls_at_once_share_nothing_and_leave_nothing(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient
) -> None:
    both_in = asyncio.Barrier(len(CALLS))
    first, second = await asyncio.gather(
        *(_call(stack, browser, avatar, question, both_in) for avatar, question, _ in CALLS)
    )

    previews = {
        avatar: (await rest.get(f"/api/avatars/{avatar}/portrait")).content
        for avatar, _, _ in CALLS
    }
    for call, own, other in ((first, CALLS[0], CALLS[1]), (second, CALLS[1], CALLS[0])):
        words = transcribe(call.sound, answered(call, own[1])).lower()
        assert own[2] in words, f"{own[0]} was heard to say {words!r}"
        assert other[2] not in words, f"{own[0]} gave the answer of the other call: {words!r}"
        assert likeness(call, previews[own[0]]) > 0.8
        assert likeness(call, previews[own[0]]) > likeness(call, previews[other[0]]) + 0.2
        assert frame_rate(call.frames, Span(0, float("inf"))) > 20

    # Both browsers were closed without hanging up.
    await eventually(lambda: _nothing_runs(stack), FREED_WITHIN_S, "the calls freed everything")


async def _call(
    stack: Stack, browser: CallbenchConfig, avatar: str, question: str, both_in: asyncio.Barrier
) -> CallRecording:
    async with open_caller(browser) as caller:
        await CallPage(caller, stack.gateway_url).call(avatar)
        await caller.listen(2)
        await both_in.wait()
        spoken = await caller.say(question)
        await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)
        await caller.wait_for_quiet(2.5)
        recording = await caller.recording()
        await both_in.wait()  # nobody leaves while the other one still talks
        return recording


async def _nothing_runs(stack: Stack) -> bool:
    return await engine_sessions(stack) == 0 and await active_jobs(stack) == 0


async def engine_sessions(stack: Stack) -> int:
    """Sessions that the Thinker and the Actor hold, together."""
    state = stack.state()
    sessions = 0
    for engine in ("thinker", "actor"):
        answer = await request(state[f"{engine}_endpoint"], Ping(session_id="tests"), 10)
        assert isinstance(answer, EngineStatus)
        sessions += answer.sessions
    return sessions


async def active_jobs(stack: Stack) -> int:
    """Calls that the agent worker serves."""
    health = f"http://127.0.0.1:{stack.env['XSTREAMER_AGENT_HEALTH_PORT']}/"
    async with httpx.AsyncClient(trust_env=False) as client:
        return int((await client.get(health)).json()["calls"])
