"""The head start of a reply: as long as its chunks usually come late, and no longer."""

import pytest

from proto.time_law import CHUNK_US
from services.room_agent.head_start import MARGIN_US, MAX_HEAD_START_US, WATCHED_CHUNKS, HeadStart
from tests.unit.services.room_agent.fake_call import av_chunk

pytestmark = pytest.mark.unit

NEEDED_US = 40_000


def reply(law: HeadStart, turn: int, behind_us: list[int]) -> int:
    """Chunks that come so far behind their time; what the first one had to wait."""
    began_us = 1_000_000 * turn
    wait_us = law.came(av_chunk(0, 0, turn, 0, 4, False), began_us)
    for index, late_us in enumerate(behind_us, 1):
        at_us = began_us + index * CHUNK_US - NEEDED_US + late_us
        assert law.came(av_chunk(0, 0, turn, 4 * index, 4, False), at_us) == 0
    return wait_us


def test_a_quick_machine_waits_for_nothing() -> None:
    law = HeadStart(NEEDED_US)
    assert [reply(law, turn, [-200_000, -150_000]) for turn in range(5)] == [0] * 5


def test_replies_wait_as_long_as_the_latest_of_their_first_chunks_is_late() -> None:
    law = HeadStart(NEEDED_US)
    waits = [reply(law, turn, [20_000, 100_000, 60_000]) for turn in range(9)]
    assert waits[0] == 0
    assert waits[1] == 50_000 + MARGIN_US
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(100_000 + MARGIN_US, abs=1_000)


def test_a_machine_that_becomes_quick_again_is_believed_slowly() -> None:
    law = HeadStart(NEEDED_US)
    for turn in range(9):
        reply(law, turn, [100_000])
    waits = [reply(law, turn, [-100_000]) for turn in range(9, 30)]
    assert waits == sorted(waits, reverse=True)
    assert waits[2] > 60_000
    assert waits[-1] == 0


def test_it_is_never_longer_than_can_be_borne() -> None:
    law = HeadStart(NEEDED_US)
    for turn in range(20):
        assert reply(law, turn, [5_000_000]) <= MAX_HEAD_START_US


def test_what_follows_the_voice_or_the_first_chunks_is_not_held_against_the_actor() -> None:
    law = HeadStart(NEEDED_US)
    for turn in range(5):
        assert reply(law, turn, []) == 0, "a reply of one chunk"
        law.came(av_chunk(0, 0, turn, 0, 0, False), 1_000_000 * (turn + 1))
        law.came(av_chunk(0, 0, turn, 4, 4, False), 1_000_000 * (turn + 2))
        assert reply(law, turn, [*[0] * WATCHED_CHUNKS, 500_000]) == 0
