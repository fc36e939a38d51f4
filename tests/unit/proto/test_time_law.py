"""The time law holds in whole numbers."""

import pytest

from proto import time_law as law

pytestmark = pytest.mark.unit


def test_a_chunk_is_eight_frames_and_four_audio_tokens() -> None:
    assert law.CHUNK_FRAMES * law.FRAME_US == law.CHUNK_AUDIO_TOKENS * law.AUDIO_TOKEN_US == 320_000
    assert law.CHUNK_SAMPLES == 7_680 == law.CHUNK_FRAMES * law.FRAME_SAMPLES


def test_segments_yield_six_and_seven_chunks_in_turn_and_lose_nothing() -> None:
    ends = [law.SEGMENT_AUDIO_TOKENS * (g + 1) // law.CHUNK_AUDIO_TOKENS for g in range(6)]
    assert [b - a for a, b in zip([0, *ends], ends, strict=False)] == [6, 7, 6, 7, 6, 7]
    assert law.SEGMENT_US == 2_080_000


def test_media_time_counts_from_call_start() -> None:
    assert law.chunk_pts_us(0) == 0
    ten_hours = 10 * 3600 * 1_000_000
    assert law.chunk_pts_us(112_500) == ten_hours
    assert law.tokens_to_us(450_000) == ten_hours
