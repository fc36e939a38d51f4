"""Each process killed once during a call; `make chaos` does it twenty times and takes the times."""

import pytest

from tests.chaos.blows import BLOWS, Blow, strike
from tests.conftest import Stack

pytestmark = [pytest.mark.integration, pytest.mark.realtime]


@pytest.mark.parametrize("blow", BLOWS, ids=lambda blow: blow.name)
async def test_a_call_outlives_a_killed(blow: Blow, restarted_stack: Stack) -> None:
    outcome = await strike(restarted_stack, blow)
    assert outcome.answered
    assert outcome.went_on
    assert outcome.same_face, f"likeness with the portrait: {outcome.likeness:.2f}"
    assert outcome.remembered
