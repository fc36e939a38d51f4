"""A benchmark: joins that time the first frame, then one call with turns and barge-ins."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, CallerTimeout, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.gateway_client import gateway_at, traces
from services.callbench.hesitations import PAUSES_S, Hesitation, hesitation
from services.callbench.measure import CallFigures, measure
from services.callbench.parallel import ParallelFigures, run_parallel
from services.callbench.recording import CallRecording

QUESTIONS = ("france", "breakfast", "autumn", "music", "weekend", "ocean")
# Each answer is a new one, for a model that repeats itself becomes short.
LONG_QUESTIONS = ("story", "autumn", "music", "ocean", "weekend")
BARGE_INS = ("japan", "italy", "france")
HESITANT = ("breakfast", "autumn", "weekend", "music", "ocean")
PARALLEL_TURNS = 3
IDLE_S = 3.0
BARGE_IN_AFTER_S = 0.4
ANSWER_WITHIN_S = 20.0
PAUSE_S = 1.5
JOIN_S = 1.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchPlan:
    """What to do. `warm_up_joins` are not counted: a first call loads what later ones share."""

    url: str
    avatars: tuple[str, ...]
    turns: int = 6
    barge_ins: int = 5
    hesitations: int = 4
    joins: int = 3
    warm_up_joins: int = 1
    parallel: tuple[int, ...] = ()


@dataclass(frozen=True)
class PortraitCall:
    """A call of one face: what the caller got, and its turns as traced."""

    figures: CallFigures
    traces: list[dict[str, Any]]


@dataclass
class BenchResult:
    """What came out of it."""

    first_frames_ms: list[float]
    figures: CallFigures
    recording: CallRecording
    captions: list[str]
    brain: str
    traces: list[dict[str, Any]]
    hesitations: list[Hesitation]
    portraits: dict[str, PortraitCall]
    parallel: list[ParallelFigures]
    unanswered: list[str] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)


async def run_bench(plan: BenchPlan, config: CallbenchConfig, tell: Say) -> BenchResult:
    """Make the calls."""
    first_frames_ms: list[float] = []
    for join in range(plan.warm_up_joins + plan.joins):
        tell(f"join {join + 1} of {plan.warm_up_joins + plan.joins}")
        first_frame_ms = await _time_join(plan, config)
        if join >= plan.warm_up_joins and first_frame_ms is not None:
            first_frames_ms.append(first_frame_ms)
    async with open_caller(config) as caller:
        page = CallPage(caller, plan.url)
        await page.call(plan.avatars[0])
        call = _Call(caller, page, tell)
        await caller.listen(IDLE_S)
        call.pictures["idle"] = await caller.snapshot()
        for turn in range(plan.turns):
            await call.ask(QUESTIONS[turn % len(QUESTIONS)])
        for turn in range(plan.barge_ins):
            await call.barge_in(turn)
        for turn in range(plan.hesitations):
            await call.hesitate(turn)
        captions, brain = await page.captions(), await page.brain()
        async with gateway_at(plan.url) as gateway:
            turns = await traces(gateway, page.room)
        await page.end()
        recording = await caller.recording()
    figures = measure(recording, frozenset(call.barged_in))
    if figures.first_frame_ms is not None:
        first_frames_ms.append(figures.first_frame_ms)
    # The first one's is the measured call itself.
    portraits = {plan.avatars[0]: PortraitCall(figures, turns)}
    portraits |= {avatar: await _portrait(plan, avatar, config) for avatar in plan.avatars[1:]}
    parallel = []
    for calls in plan.parallel:
        tell(f"{calls} calls at once")
        made = await run_parallel(plan.url, plan.avatars, calls, PARALLEL_TURNS, config)
        parallel.append(made)
    return BenchResult(
        first_frames_ms=first_frames_ms,
        figures=figures,
        recording=recording,
        captions=captions,
        brain=brain,
        traces=turns,
        hesitations=[
            hesitation(recording, recording.spoken[at], pause_s) for at, pause_s in call.hesitated
        ],
        portraits=portraits,
        parallel=parallel,
        unanswered=call.unanswered,
        pictures=call.pictures,
    )


async def _portrait(plan: BenchPlan, avatar: str, config: CallbenchConfig) -> PortraitCall:
    """A call of another face, with as many questions as the first one's."""
    async with open_caller(config) as caller:
        page = CallPage(caller, plan.url)
        await page.call(avatar)
        call = _Call(caller, page, lambda _: None)
        await caller.listen(IDLE_S)
        for turn in range(plan.turns):
            await call.ask(QUESTIONS[turn % len(QUESTIONS)])
        async with gateway_at(plan.url) as gateway:
            turns = await traces(gateway, page.room)
        await page.end()
        return PortraitCall(measure(await caller.recording()), turns)


async def _time_join(plan: BenchPlan, config: CallbenchConfig) -> float | None:
    async with open_caller(config) as caller:
        page = CallPage(caller, plan.url)
        await page.call(plan.avatars[0])
        await caller.listen(JOIN_S)
        figures = measure(await caller.recording())
        await page.end()
        return figures.first_frame_ms


class _Call:
    """The caller's side of the measured call."""

    def __init__(self, caller: Caller, page: CallPage, tell: Say) -> None:
        self._caller = caller
        self._page = page
        self._tell = tell
        self.unanswered: list[str] = []
        self.barged_in: list[int] = []
        self.hesitated: list[tuple[int, float]] = []
        """Which of the things said had a pause inside, and how long it was."""
        self.pictures: dict[str, bytes] = {}
        self._said = 0

    async def ask(self, question_id: str) -> bool:
        """Ask and hear the answer out."""
        if not await self._begin(question_id):
            return False
        await self._page.hear_out(PAUSE_S)
        return True

    async def barge_in(self, turn: int) -> None:
        """Ask for something long, and speak into it."""
        if not await self._begin(LONG_QUESTIONS[turn % len(LONG_QUESTIONS)]):
            return
        await asyncio.sleep(BARGE_IN_AFTER_S)
        self.barged_in.append(self._said)
        await self.ask(BARGE_INS[turn % len(BARGE_INS)])

    async def hesitate(self, turn: int) -> None:
        """Ask with a pause inside the sentence; what was answered is of no interest here."""
        pause_s = PAUSES_S[turn % len(PAUSES_S)]
        self.hesitated.append((self._said, pause_s))
        if await self._begin(HESITANT[turn % len(HESITANT)], pause_s):
            await self._page.hear_out(PAUSE_S)

    async def _begin(self, question_id: str, pause_s: float = 0.0) -> bool:
        self._tell(f"asks: {question_id}" + (f", hesitating {pause_s} s" if pause_s else ""))
        spoken = await self._caller.say(question_id, pause_s)
        self._said += 1
        try:
            # What still sounds while the caller speaks is the answer before.
            await self._caller.wait_for_voice(
                spoken.voice_end_s, ANSWER_WITHIN_S + spoken.voice_end_s - spoken.voice_start_s
            )
        except CallerTimeout:
            self.unanswered.append(question_id)
            return False
        if "speaking" not in self.pictures:
            self.pictures["speaking"] = await self._caller.snapshot()
        return True
