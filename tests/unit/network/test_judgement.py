"""Whatever a caller would complain about is found in the figures of a scenario."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.integration.network.judgement import REPLY, complaints
from tests.integration.network.scenarios import REPLY_CHUNKS

pytestmark = pytest.mark.unit

MEDIA = {
    "fps": 24.9,
    "longest_gap_s": 0.1,
    "beeps": REPLY_CHUNKS,
    "flashes": REPLY_CHUNKS,
    "offset_ms_median": -30,
    "offset_ms_p95": 40,
}
FINE: dict[str, Any] = {
    "during": MEDIA,
    "after": MEDIA,
    "recovered_s": 0.2,
    "same_call": True,
    "captions": {
        f"{speaker}-{turn}": [text, True]
        for turn in (1, 2, 3)
        for speaker, text in (("user", "what I heard"), ("reply", REPLY))
    },
    "turns": [["completed", 4 * REPLY_CHUNKS]] * 3,
    "network": {
        "passed_bytes": {"tcp/7880": 900, "udp/7882": 500, "udp/443": 9},
        "late_ms_p99": 1.0,
    },
}


def test_a_call_that_was_fine_gives_no_cause() -> None:
    assert complaints("outage", FINE) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda seen: seen.update(failed="it broke"),
        lambda seen: seen["captions"].pop("reply-3"),
        lambda seen: seen["captions"].update({"reply-2": ["word0 word2 ", True]}),
        lambda seen: seen["captions"].update({"reply-2": [REPLY, False]}),
        lambda seen: seen["captions"].update({"user-1": ["what", True]}),
        lambda seen: seen.update(same_call=False),
        lambda seen: seen.update(recovered_s=9.0),
        lambda seen: seen["turns"].pop(),
        lambda seen: seen["after"].update(beeps=0),
        lambda seen: seen["after"].update(flashes=9),
        lambda seen: seen["after"].update(offset_ms_median=-130),
        lambda seen: seen["after"].update(offset_ms_p95=190),
        lambda seen: seen["after"].update(fps=12.0),
        lambda seen: seen["network"]["passed_bytes"].update({"udp/443": 900}),
        lambda seen: seen["network"].update(late_ms_p99=50.0),
    ],
)
def test_each_fault_is_named(spoil: Callable[[dict[str, Any]], object]) -> None:
    seen = deepcopy(FINE)
    spoil(seen)
    assert len(complaints("outage", seen)) == 1
