"""A benchmark: joins that time the first frame, then one call with turns and barge-ins."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, CallerTimeout, open_caller
from services.callbench.config import CallbenchConfig
from services.callbench.measure import CallFigures, measure
from services.callbench.recording import CallRecording

QUESTIONS = ("france", "breakfast", "autumn", "music", "weekend", "ocean")
# Each answer is a new one, for a model that repeats itself becomes short.
LONG_QUESTIONS = ("story", "autumn", "music", "ocean", "weekend")
BARGE_INS = ("japan", "italy", "france")
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
    avatar: str
    turns: int = 6
    barge_ins: int = 5
    joins: int = 3
    warm_up_joins: int = 1


@dataclass
class BenchResult:
    """What came out of it."""

    first_frames_ms: list[float]
    figures: CallFigures
    recording: CallRecording
    captions: list[str]
    brain: str
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
        await page.call(plan.avatar)
        call = _Call(caller, page, tell)
        await caller.listen(IDLE_S)
        call.pictures["idle"] = await caller.snapshot()
        for turn in range(plan.turns):
            await call.ask(QUESTIONS[turn % len(QUESTIONS)])
        for turn in range(plan.barge_ins):
            await call.barge_in(turn)
        captions, brain = await page.captions(), await page.brain()
        await page.end()
        recording = await caller.recording()
    figures = measure(recording, frozenset(call.barged_in))
    if figures.first_frame_ms is not None:
        first_frames_ms.append(figures.first_frame_ms)
    return BenchResult(
        first_frames_ms, figures, recording, captions, brain, call.unanswered, call.pictures
    )


async def _time_join(plan: BenchPlan, config: CallbenchConfig) -> float | None:
    async with open_caller(config) as caller:
        page = CallPage(caller, plan.url)
        await page.call(plan.avatar)
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

    async def _begin(self, question_id: str) -> bool:
        self._tell(f"asks: {question_id}")
        spoken = await self._caller.say(question_id)
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
