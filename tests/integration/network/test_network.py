"""Calls over a bad network: a short form of `make network`."""

from typing import Any

import pytest

from tests.integration.network.judgement import CRASHES, complaints, play_scenarios
from tests.integration.network.relay import why_not
from tests.integration.test_room_agent import _livekit_binary
from tests.promises import promise

pytestmark = [pytest.mark.integration, pytest.mark.realtime]
SHORT = ("rough-outage", "tcp", "turn")


@pytest.fixture
def played() -> dict[str, Any]:
    """The short form, in namespaces of its own; played anew when the test is tried again."""
    if reason := why_not():
        pytest.skip(reason)
    _livekit_binary()  # skips where there is none
    return play_scenarios(*SHORT)


def test_bad_networks_cost_quality_and_no_words_and_no_calls(played: dict[str, Any]) -> None:
    crashes = [word for word in CRASHES if word in played["worker_log"]]
    promise(not crashes, crashes)
    found = {name: complaints(name, figures) for name, figures in played["scenarios"].items()}
    assert found == {name: [] for name in SHORT}
    lost = played["scenarios"]["rough-outage"]["network"]["dropped_packets"]
    assert lost["loss"] > 20
    assert lost["down"] > 20
