"""Two callers at the same time: each sees its own face and hears its own answers."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest

from proto.messages import EngineStatus, Ping
from proto.wire.sockets import request
from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.recording import CallRecording
from services.callbench.transcribe import transcribe
from services.callbench.transport import frame_rate
from services.callbench.waveform import Span, voiced_spans
from tests.browser.conftest import eventually, likeness
from tests.conftest import Stack
from tests.promises import promise

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_S = 60.0
QUIET_S = 2.5
FREED_WITHIN_S = 45.0  # LiveKit waits 15 s for a browser that went away without a word
SMALL = (480, 640)  # two browsers that paint in software share two cores with everything else


@dataclass(frozen=True)
class Side:
    """What one caller does, and what only it should hear."""

    avatar: str
    question: str
    answer: str


SIDES = (Side("mara", "france", "paris"), Side("daniel", "italy", "rome"))


@dataclass(frozen=True)
class Witness:
    """One caller's record."""

    recording: CallRecording
    captions: list[str]

    def words(self) -> str:
        """Everything the avatar was heard to say to this caller."""
        sound = self.recording.sound
        return transcribe(sound, voiced_spans(sound)).lower()


async def test_two_calls_at_once_share_nothing_and_leave_nothing(
    stack: Stack, browser: CallbenchConfig, rest: httpx.AsyncClient
) -> None:
    async with open_caller(browser, viewport=SMALL) as a, open_caller(browser, viewport=SMALL) as b:
        pages = [CallPage(caller, stack.gateway_url) for caller in (a, b)]
        for page, side in zip(pages, SIDES, strict=True):
            await page.call(side.avatar)
        for mine, side in enumerate(SIDES):
            caller, other = (a, b)[mine], (b, a)[mine]
            spoken = await caller.say(side.question)
            await caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)
            await asyncio.gather(pages[mine].hear_out(QUIET_S), other.listen(QUIET_S))
        witnesses = [
            Witness(await caller.recording(), await page.captions())
            for caller, page in zip((a, b), pages, strict=True)
        ]
        assert await engine_sessions(stack) == 2 * len(SIDES)
        assert await active_jobs(stack) == len(SIDES)
    # Both browsers were closed without hanging up.
    await eventually(lambda: _nothing_runs(stack), FREED_WITHIN_S, "the calls freed everything")

    previews = [(await rest.get(f"/api/avatars/{side.avatar}/portrait")).content for side in SIDES]
    for mine, theirs in ((0, 1), (1, 0)):
        witness = witnesses[mine]
        assert SIDES[mine].answer in witness.words(), witness.captions
        others = SIDES[theirs].answer
        promise(others not in witness.words(), witness.captions)
        promise(not any(others in line.lower() for line in witness.captions), witness.captions)
        promise(not _overlap(witness.recording, witnesses[theirs].recording), "two voices at once")
        own, foreign = (likeness(witness.recording, previews[face]) for face in (mine, theirs))
        promise(own > max(0.8, foreign + 0.2), f"like its own {own}, like the other {foreign}")
        assert frame_rate(witness.recording.frames, Span(0, float("inf"))) > 20


def _overlap(one: CallRecording, other: CallRecording) -> bool:
    """Whether both callers ever heard a voice at the same time; they were answered in turn."""
    spans = voiced_spans(other.sound)
    return any(
        span.start_s < theirs.end_s and theirs.start_s < span.end_s
        for span in voiced_spans(one.sound)
        for theirs in spans
    )


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
