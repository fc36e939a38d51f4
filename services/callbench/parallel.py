"""Several calls at once: what each of them still gets.

Up to two callers have a Chromium each; of more, one has a Chromium and the others are clients that
do not take the picture, for browsers without a GPU would measure each other.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, CallerTimeout, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.gateway_client import gateway_at, traces
from services.callbench.light_caller import LightCaller, light_caller
from services.callbench.measure import measure
from services.callbench.stages import StageFigures, stage_figures

MOST_BROWSERS = 2
SMALL = (480, 640)
"""Browsers that paint in software share the cores with everything else."""
QUESTIONS = ("france", "weekend", "italy", "music")
ANSWER_WITHIN_S = 40.0
QUIET_S = 1.5
SETTLE_S = 3.0


@dataclass(frozen=True)
class SideFigures:
    """What one caller got. None: not measured.

    `fps` was presented in the caller's browser; `sent_fps` left the agent, as its WebRTC counted:
    all there is of a caller who does not take the picture.
    """

    browser: bool
    voice_to_voice_ms: list[float]
    voice_to_face_ms: list[float]
    unanswered: int
    fps: float | None
    freezes: int | None
    av_offset_ms: float | None
    sent_fps: float | None

    @property
    def rate(self) -> float | None:
        """Frames a second, from as near to the caller as they were counted."""
        return self.fps if self.browser else self.sent_fps


@dataclass(frozen=True)
class ParallelFigures:
    """So many calls at once."""

    calls: int
    sides: list[SideFigures]
    stages: list[StageFigures]


def slowest_fps(run: ParallelFigures) -> float | None:
    """The least that one of the callers got; None while one of them was not measured."""
    rates = [side.rate for side in run.sides if side.rate is not None]
    return min(rates) if len(rates) == len(run.sides) else None


async def run_parallel(
    url: str, avatars: Sequence[str], calls: int, turns: int, config: CallbenchConfig
) -> ParallelFigures:
    """Make the calls, all asking at the same time."""
    browsers = calls if calls <= MOST_BROWSERS else 1
    sides: list[_BrowserSide | _LightSide] = []
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_at(url))
        for index in range(calls):
            avatar = avatars[index % len(avatars)]
            if index < browsers:
                caller = await stack.enter_async_context(open_caller(config, viewport=SMALL))
                page = CallPage(caller, url)
                await page.call(avatar)
                sides.append(_BrowserSide(caller, page))
            else:
                light = await stack.enter_async_context(light_caller(url, avatar))
                sides.append(_LightSide(light))
        await asyncio.sleep(SETTLE_S)
        for turn in range(turns):
            await asyncio.gather(*(side.ask(QUESTIONS[turn % len(QUESTIONS)]) for side in sides))
        # A turn's record waits for what its page has to say.
        await asyncio.sleep(1)
        rooms = await asyncio.gather(*(traces(gateway, side.room) for side in sides))
        figures = [
            await side.figures(sent_fps(turns)) for side, turns in zip(sides, rooms, strict=True)
        ]
    return ParallelFigures(calls, figures, stage_figures([t for room in rooms for t in room]))


def sent_fps(turns: Sequence[Mapping[str, Any]]) -> float | None:
    """What left the agent in a call, by the last of its traces that tells."""
    told = [turn["sent_fps"] for turn in turns if turn["sent_fps"] is not None]
    return told[-1] if told else None


class _BrowserSide:
    """A caller with a Chromium."""

    def __init__(self, caller: Caller, page: CallPage) -> None:
        self._caller, self._page = caller, page
        self._unanswered = 0

    @property
    def room(self) -> str:
        return self._page.room

    async def ask(self, question_id: str) -> None:
        spoken = await self._caller.say(question_id)
        try:
            await self._caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S)
        except CallerTimeout:
            self._unanswered += 1
            return
        await self._page.hear_out(QUIET_S)

    async def figures(self, sent: float | None) -> SideFigures:
        found = measure(await self._caller.recording())
        await self._page.end()
        return SideFigures(
            browser=True,
            voice_to_voice_ms=[t.voice_to_voice_ms for t in found.turns if t.voice_to_voice_ms],
            voice_to_face_ms=[t.voice_to_face_ms for t in found.turns if t.voice_to_face_ms],
            unanswered=self._unanswered,
            fps=found.transport.fps,
            freezes=found.transport.freezes,
            av_offset_ms=found.transport.av_offset_ms,
            sent_fps=sent,
        )


class _LightSide:
    """A caller without a browser."""

    def __init__(self, caller: LightCaller) -> None:
        self._caller = caller
        self._voices_ms: list[float] = []
        self._unanswered = 0

    @property
    def room(self) -> str:
        return self._caller.room_name

    async def ask(self, question_id: str) -> None:
        voice_end_s = self._caller.say(question_id)
        waited_s = await self._caller.answered(voice_end_s, ANSWER_WITHIN_S)
        if waited_s is None:
            self._unanswered += 1
            return
        self._voices_ms.append(1e3 * waited_s)
        await self._caller.quiet(QUIET_S)

    async def figures(self, sent: float | None) -> SideFigures:
        return SideFigures(
            browser=False,
            voice_to_voice_ms=self._voices_ms,
            voice_to_face_ms=[],
            unanswered=self._unanswered,
            fps=None,
            freezes=None,
            av_offset_ms=None,
            sent_fps=sent,
        )


def parallel_table(runs: Sequence[ParallelFigures]) -> Table:
    """Each number of calls in a row."""
    shown = Table("calls", "voice to voice p50", "p95", "slowest fps", "freezes", "unanswered")
    shown.title = "Several calls at once"
    for run in runs:
        voices = [ms for side in run.sides for ms in side.voice_to_voice_ms]
        slowest = slowest_fps(run)
        freezes = sum(side.freezes or 0 for side in run.sides)
        cells = [f"{np.percentile(voices, p):.0f} ms" if voices else "-" for p in (50, 95)]
        rate = "-" if slowest is None else f"{slowest:.1f}"
        unanswered = sum(side.unanswered for side in run.sides)
        shown.add_row(str(run.calls), *cells, rate, str(freezes), str(unanswered))
    return shown
