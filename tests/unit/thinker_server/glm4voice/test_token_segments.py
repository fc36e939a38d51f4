"""Tokens of an answer become parts of segments, by the number of speech codes alone."""

import numpy as np
import pytest

from proto.messages import HiddenChunk
from proto.time_law import SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS
from thinker_server.glm4voice.segmenter import TokenPart, TokenSegmenter

pytestmark = pytest.mark.unit

WIDTH = 6
TEXT, CODE = "t", "c"
REGULAR = (TEXT * 13 + CODE * 26) * 2 + TEXT * 5 + CODE * 40
"""What the model was trained to write: when the text has run out, the codes go on."""


def state(value: int) -> np.ndarray:
    return np.full(WIDTH, value, np.float16)


def parts_of(kinds: str) -> list[TokenPart]:
    """Parts of an answer; the n-th token has the id n and the state n."""
    segmenter = TokenSegmenter()
    parts = []
    for index, kind in enumerate(kinds):
        if kind == TEXT:
            segmenter.add_text(index, state(index))
        elif (part := segmenter.add_code(index, state(index))) is not None:
            parts.append(part)
    last = segmenter.end()
    return parts if last is None else [*parts, last]


def messages(parts: list[TokenPart], with_states: bool = True) -> list[HiddenChunk]:
    return [part.message("s", epoch=4, turn=2, with_states=with_states) for part in parts]


def test_a_regular_answer_leaves_in_parts_of_its_segments() -> None:
    parts = parts_of(REGULAR)
    assert [len(part.spoken) for part in parts] == [4, 4, 4, 4, 4, 6] * 3 + [4, 4, 4, 2]
    assert [part.first_token for part in parts[:7]] == [0, 4, 8, 12, 16, 20, 26]
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]


def test_the_text_of_a_segment_leaves_with_its_first_part() -> None:
    chunks = messages(parts_of(REGULAR))
    slots = [(c.first_text_slot, len(c.text_ids)) for c in chunks if c.text_ids is not None]
    assert slots == [(0, 13), (SEGMENT_TEXT_SLOTS, 13), (2 * SEGMENT_TEXT_SLOTS, 5)]
    firsts = [c.first_token for c in chunks if c.text_ids is not None]
    assert firsts == [0, SEGMENT_AUDIO_TOKENS, 2 * SEGMENT_AUDIO_TOKENS]


def test_every_code_leaves_once_with_the_state_that_predicted_it() -> None:
    chunks = messages(parts_of(REGULAR))
    ids = np.concatenate([c.audio_ids for c in chunks if c.audio_ids is not None])
    states = np.concatenate([c.audio_states for c in chunks if c.audio_states is not None])
    assert ids.tolist() == [i for i, kind in enumerate(REGULAR) if kind == CODE]
    np.testing.assert_array_equal(states, np.stack([state(i) for i in ids]))
    assert all(c.pcm is None and c.features is None and c.phones is None for c in chunks)


def test_states_stay_at_home_where_no_actor_reads_them() -> None:
    chunks = messages(parts_of(REGULAR), with_states=False)
    assert all(c.audio_states is None and c.text_states is None for c in chunks)
    assert sum(c.audio_tokens for c in chunks) == REGULAR.count(CODE)


@pytest.mark.parametrize("kinds", [CODE, CODE * 4, CODE * 5, CODE * 26, TEXT * 30 + CODE * 27])
def test_the_last_part_is_final_and_has_speech(kinds: str) -> None:
    parts = parts_of(kinds)
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(part.spoken for part in parts)
    assert sum(len(part.spoken) for part in parts) == kinds.count(CODE)


def test_more_text_than_a_segment_holds_moves_to_the_next() -> None:
    slots = [(part.first_text_slot, len(part.text)) for part in parts_of(TEXT * 30 + CODE * 60)]
    assert [slot for slot in slots if slot[1]] == [(0, 13), (13, 13), (26, 4)]


def test_an_answer_without_speech_has_no_parts() -> None:
    assert parts_of("") == []
    assert parts_of(TEXT * 5) == []
