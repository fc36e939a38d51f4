"""What the caller of a soak does for hours, on virtual time."""

import asyncio
from typing import Any

import pytest

from services.callbench.bench import BARGE_INS, LONG_QUESTIONS, QUESTIONS
from services.soak.conversation import (
    BARGE_IN_EVERY,
    IDLE_EVERY,
    IDLE_S,
    TURN_EVERY_S,
    Conversation,
)
from tests.unit.services.callbench.fake_caller import FakeCaller, FakePage
from tests.unit.services.room_agent.virtual_time import virtually

pytestmark = pytest.mark.unit


def talking(caller: FakeCaller, page: FakePage) -> Conversation:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    fakes: Any = (caller, page)
    return Conversation(*fakes, lambda: loop.time() - began_s)


@virtually
async def test_questions_come_evenly_with_a_barge_in_now_and_then_and_a_rest() -> None:
    caller, page = FakeCaller(), FakePage()
    talk = talking(caller, page)
    turns = 2 * BARGE_IN_EVERY
    rests = turns // IDLE_EVERY
    end_s = turns * TURN_EVERY_S + rests * IDLE_S
    began_s = asyncio.get_running_loop().time()
    await talk.run(end_s)
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(end_s, abs=0.01)
    said = [question for question, _ in caller.said]
    assert talk.barge_ins == 2
    assert talk.asked == len(said) == turns + 2, "a barge-in is a question, too"
    assert said[BARGE_IN_EVERY - 1 : BARGE_IN_EVERY + 1] == [LONG_QUESTIONS[1], BARGE_INS[1]]
    assert set(said[: BARGE_IN_EVERY - 1]) <= set(QUESTIONS)
    assert talk.unanswered == []


@virtually
async def test_what_was_not_answered_is_noted_and_not_spoken_into() -> None:
    caller, page = FakeCaller(frozenset(LONG_QUESTIONS)), FakePage()
    talk = talking(caller, page)
    await talk.run(BARGE_IN_EVERY * TURN_EVERY_S + IDLE_S)
    assert talk.barge_ins == 0
    assert LONG_QUESTIONS[1] in [missed.question for missed in talk.unanswered]


@virtually
async def test_an_answer_without_end_is_noted() -> None:
    caller, page = FakeCaller(), FakePage()
    page.endless = True
    talk = talking(caller, page)
    await talk.run(TURN_EVERY_S)
    (missed,) = talk.unanswered
    assert missed.question.endswith("(its answer did not end)")
    assert missed.at_s > 0


@virtually
async def test_no_question_begins_that_could_not_end_in_time() -> None:
    caller = FakeCaller()
    await talking(caller, FakePage()).run(TURN_EVERY_S - 1)
    assert caller.said == []
