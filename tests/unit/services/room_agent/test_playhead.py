"""The accounting of playout: what was heard, what is left, what comes again."""

import pytest

from proto.time_law import CHUNK_SAMPLES, TOKEN_SAMPLES
from services.room_agent.playhead import BLOCK_SAMPLES, Heard, Playhead
from tests.unit.services.room_agent.fake_call import av_chunk

pytestmark = pytest.mark.unit

BLOCKS = CHUNK_SAMPLES // BLOCK_SAMPLES


def playhead(*tokens: int) -> Playhead:
    """A playhead with a reply of chunks of so many tokens, numbered from 7."""
    made, first = Playhead(), 0
    for index, count in enumerate(tokens):
        made.append(av_chunk(7 + index, epoch=1, turn=3, first_token=first, tokens=count))
        first += count
    return made


def take(made: Playhead, blocks: int) -> None:
    for _ in range(blocks):
        assert made.next_block() is not None


def test_every_other_block_begins_a_frame() -> None:
    made = playhead(4)
    blocks = [made.next_block() for _ in range(BLOCKS)]
    assert made.next_block() is None
    assert [block.begins_frame for block in blocks if block] == [True, False] * 8
    assert [
        int(block.frame[0, 0]) for block in blocks[::4] if block and block.frame is not None
    ] == [
        1,
        2,
        3,
        4,
    ]


def test_nothing_is_heard_while_it_waits_in_the_queue() -> None:
    made = playhead(4)
    take(made, 5)
    made.settle(5 * BLOCK_SAMPLES)
    assert made.heard(3) == Heard(3, 0, -1)


@pytest.mark.parametrize(
    ("played_samples", "tokens"),
    [(1, 0), (TOKEN_SAMPLES - 1, 0), (TOKEN_SAMPLES, 1), (TOKEN_SAMPLES + 1, 1), (5760, 3)],
)
def test_a_token_is_heard_when_its_last_sample_has_sounded(
    played_samples: int, tokens: int
) -> None:
    made = playhead(4)
    take(made, BLOCKS)
    made.settle(CHUNK_SAMPLES - played_samples)
    assert made.heard(3) == Heard(3, tokens, 7)


def test_a_short_last_chunk_holds_no_more_tokens_than_it_says() -> None:
    made = playhead(4, 2)
    take(made, 2 * BLOCKS)
    made.settle(0)
    assert made.heard(3) == Heard(3, 6, 8)


def test_what_was_taken_but_not_heard_comes_again_after_a_rewind() -> None:
    made = playhead(4, 4)
    take(made, BLOCKS + 3)
    made.settle(5 * BLOCK_SAMPLES)
    made.rewind()
    offsets = []
    while block := made.next_block():
        assert block.chunk is not None
        offsets.append((block.chunk.chunk, block.offset // BLOCK_SAMPLES))
    assert offsets == [(7, 14), (7, 15), *((8, index) for index in range(BLOCKS))]


def test_filler_is_no_speech_and_does_not_come_again() -> None:
    made = playhead(4)
    take(made, 2)
    assert made.filler().chunk is None
    assert made.filler().frame is None
    made.settle(4 * BLOCK_SAMPLES)
    made.rewind()
    block = made.next_block()
    assert block is not None
    assert block.offset == 0
    assert made.filler_blocks == 2


def test_a_cleared_playhead_keeps_what_was_heard_and_nothing_else() -> None:
    made = playhead(4, 4)
    take(made, BLOCKS)
    made.settle(0)
    made.clear()
    assert made.next_block() is None
    assert made.unqueued_us == 0
    assert made.heard(3) == Heard(3, 4, 7)
    made.renumber()
    assert made.heard(3).last_shown_chunk == -1


def test_media_time_and_chunks_ahead_count_what_was_not_taken() -> None:
    made = playhead(4, 4)
    assert (made.chunks_ahead, made.unqueued_us) == (2, 640_000)
    take(made, 1)
    assert (made.chunks_ahead, made.unqueued_us) == (1, 620_000)
