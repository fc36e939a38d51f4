"""Each process killed once during a call; `make chaos` does it twenty times and takes the times.

And one that lives, but gets too little of the processor.
"""

import asyncio
import time

import pytest

from tests.chaos.blows import BLOWS, Blow, strike, survivor
from tests.chaos.starvation import saved_steps, settled_steps, starved, until_saved
from tests.conftest import Stack
from tests.promises import promise

AT_MOST = 2.0
"""Times the goal: `make chaos` measures, on a machine with nothing else to do."""
LITTLE = 0.12
"""Of the time: a face takes .15 to .25 of a core here."""
STARVED_S = 40.0
SETTLED_S = 3.0
CLIMBS_WITHIN_S = 60.0
SETTLES_WITHIN_S = 30.0
LONGEST_PICTURE_S = 3.0
"""Decision 9 measured 1.3 s where the work suddenly takes six times as long."""

pytestmark = [pytest.mark.integration, pytest.mark.realtime]


@pytest.mark.parametrize("blow", BLOWS, ids=lambda blow: blow.name)
async def test_a_call_outlives_a_killed(blow: Blow, restarted_stack: Stack) -> None:
    outcome = await strike(restarted_stack, blow)
    promise(outcome.answered, "the question was neither answered nor apologised for")
    promise(outcome.went_on, "the conversation began anew")
    promise(outcome.same_face, f"likeness with the portrait: {outcome.likeness:.2f}")
    promise(outcome.remembered, "the record of earlier turns was lost")
    if blow.goal_s is not None:
        assert outcome.back_s <= AT_MOST * blow.goal_s


async def test_a_call_whose_actor_is_starved_saves_work_and_climbs_back(
    restarted_stack: Stack,
) -> None:
    async with survivor(restarted_stack) as caller:
        before = await settled_steps(restarted_stack, SETTLES_WITHIN_S)
        begun = time.monotonic()
        async with starved(restarted_stack.state()["processes"]["actor"]["pid"], LITTLE):
            await until_saved(restarted_stack, lambda steps: steps > before, STARVED_S)
            await asyncio.sleep(SETTLED_S)
            most = await saved_steps(restarted_stack)
            stood_s = caller.longest_picture(begun, time.monotonic())
        await until_saved(restarted_stack, lambda steps: steps < most, CLIMBS_WITHIN_S)
        assert await caller.is_answered()
    assert stood_s < LONGEST_PICTURE_S
