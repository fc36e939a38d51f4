"""What the caller does for hours: asks, sometimes cuts in, sometimes is silent."""

import asyncio
from collections.abc import Callable

from playwright.async_api import TimeoutError as PlaywrightTimeout

from services.callbench.bench import BARGE_IN_AFTER_S, BARGE_INS, LONG_QUESTIONS, QUESTIONS
from services.callbench.call_page import CallPage
from services.callbench.caller import Caller, CallerTimeout
from services.soak.samples import Unanswered

TURN_EVERY_S = 25.0
BARGE_IN_EVERY = 5
IDLE_EVERY = 8
IDLE_S = 60.0
ANSWER_WITHIN_S = 30.0
QUIET_S = 1.5


class Conversation:
    """The caller's side, and how it went."""

    def __init__(self, caller: Caller, page: CallPage, clock: Callable[[], float]) -> None:
        self._caller, self._page, self._clock = caller, page, clock
        self.asked = 0
        self.barge_ins = 0
        self.unanswered: list[Unanswered] = []

    async def run(self, until_s: float) -> None:
        """Talk; what begins in time is brought to its end before the given moment."""
        turn = 0
        while (began_s := self._clock()) + TURN_EVERY_S <= until_s:
            turn += 1
            if turn % BARGE_IN_EVERY == 0:
                await self._cut_in(turn // BARGE_IN_EVERY)
            else:
                await self._ask(QUESTIONS[turn % len(QUESTIONS)])
            rest_s = began_s + TURN_EVERY_S - self._clock()
            await asyncio.sleep(max(0.0, rest_s) + (IDLE_S if turn % IDLE_EVERY == 0 else 0.0))
        await asyncio.sleep(max(0.0, until_s - self._clock()))

    async def _ask(self, question: str) -> None:
        """Ask and hear the answer out."""
        if await self._begin(question):
            await self._hear_out(question)

    async def _cut_in(self, turn: int) -> None:
        """Ask for something long, and speak into it."""
        if await self._begin(LONG_QUESTIONS[turn % len(LONG_QUESTIONS)]):
            await asyncio.sleep(BARGE_IN_AFTER_S)
            self.barge_ins += 1
            await self._ask(BARGE_INS[turn % len(BARGE_INS)])

    async def _begin(self, question: str) -> bool:
        """Speak; returns whether an answer began."""
        self.asked += 1
        spoken = await self._caller.say(question)
        length_s = spoken.voice_end_s - spoken.voice_start_s
        try:
            await self._caller.wait_for_voice(spoken.voice_end_s, ANSWER_WITHIN_S + length_s)
        except CallerTimeout:
            self._note(question)
            return False
        return True

    async def _hear_out(self, question: str) -> None:
        try:
            await self._page.hear_out(QUIET_S)
        except (CallerTimeout, PlaywrightTimeout):
            self._note(f"{question} (its answer did not end)")

    def _note(self, question: str) -> None:
        self.unanswered.append(Unanswered(at_s=round(self._clock(), 1), question=question))
