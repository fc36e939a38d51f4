"""Each process killed once during a call; `make chaos` does it twenty times and takes the times."""

import pytest

from tests.chaos.blows import BLOWS, Blow, strike
from tests.conftest import Stack
from tests.promises import promise

AT_MOST = 2.0
"""Times the goal: `make chaos` measures, on a machine with nothing else to do."""

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
