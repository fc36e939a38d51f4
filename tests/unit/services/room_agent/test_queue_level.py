"""The level of the audio queue, estimated and corrected."""

import pytest

from services.room_agent.queue_level import QueueLevel

pytestmark = pytest.mark.unit

MS = 1_000


def test_a_queue_drains_in_real_time() -> None:
    level = QueueLevel(100 * MS)
    assert level.pushed(20 * MS, 0) == 0
    assert level.pushed(20 * MS, 5 * MS) == 15 * MS
    assert level.at(10 * MS) == 30 * MS
    assert level.at(90 * MS) == 0


def test_a_push_that_waited_proves_that_the_queue_is_full() -> None:
    level = QueueLevel(100 * MS)
    for _ in range(6):
        level.pushed(20 * MS, 0)
    # The estimate says 120 ms; the source returned late because its own clock was late.
    level.returned(0, 35 * MS)
    assert level.at(35 * MS) == 100 * MS


def test_a_push_that_did_not_wait_never_leaves_more_than_the_capacity() -> None:
    level = QueueLevel(40 * MS)
    for _ in range(4):
        level.pushed(20 * MS, 0)
    level.returned(0, 1 * MS)
    assert level.at(1 * MS) == 40 * MS


def test_a_push_that_was_cleared_away_leaves_nothing() -> None:
    level = QueueLevel(100 * MS)
    for _ in range(6):
        level.pushed(20 * MS, 0)
    level.cleared(5 * MS)
    level.returned(0, 15 * MS)
    assert level.at(15 * MS) == 0
    assert level.pushed(20 * MS, 20 * MS) == 0
