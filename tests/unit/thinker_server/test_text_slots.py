"""The rule of text slots."""

import numpy as np
import pytest

from proto.time_law import SEGMENT_TEXT_SLOTS, SEGMENT_US
from thinker_server.segments.text_slots import TextSlots, TimedTextToken

pytestmark = pytest.mark.unit


def slots_with(starts_us: list[int]) -> TextSlots:
    slots = TextSlots()
    for index, start in enumerate(starts_us):
        slots.add(TimedTextToken(index, np.zeros(1, np.float16), start))
    return slots


def taken(slots: TextSlots, segment: int, end_us: int) -> tuple[int, list[int]]:
    first, tokens = slots.take(segment, end_us)
    return first, [token.token_id for token in tokens]


def test_a_token_belongs_to_the_segment_in_which_its_word_starts() -> None:
    slots = slots_with([0, SEGMENT_US - 1, SEGMENT_US])
    assert taken(slots, 0, SEGMENT_US) == (0, [0, 1])
    assert taken(slots, 1, 2 * SEGMENT_US) == (SEGMENT_TEXT_SLOTS, [2])


def test_parts_of_a_segment_add_its_slots_bit_by_bit() -> None:
    slots = slots_with([0, 100_000, 400_000, 700_000])
    assert taken(slots, 0, 320_000) == (0, [0, 1])
    assert taken(slots, 0, 640_000) == (2, [2])
    assert taken(slots, 0, 690_000) == (3, [])
    assert taken(slots, 0, 960_000) == (3, [3])


def test_tokens_past_thirteen_move_to_the_next_segments_in_order() -> None:
    slots = slots_with([10] * 30 + [SEGMENT_US + 5])
    assert taken(slots, 0, SEGMENT_US) == (0, list(range(13)))
    assert taken(slots, 1, 2 * SEGMENT_US) == (13, list(range(13, 26)))
    assert taken(slots, 2, 3 * SEGMENT_US) == (26, [26, 27, 28, 29, 30])


def test_slots_left_over_at_the_end_are_dropped() -> None:
    slots = slots_with([10] * 14)
    assert len(slots.take(0, SEGMENT_US)[1]) == SEGMENT_TEXT_SLOTS
    # The turn ends here: nobody takes the fourteenth.
