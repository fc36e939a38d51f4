"""However the speech of a reply is cut, the same parts come out."""

from itertools import pairwise

import numpy as np
import pytest

from proto.codec import decode, encode
from proto.feature_resampler import FeatureResampler
from proto.messages import HiddenChunk
from proto.speech_features import SpeechFeatures, token_features
from proto.time_law import (
    AUDIO_TOKEN_US,
    CHUNK_AUDIO_TOKENS,
    MIN_PART_AUDIO_TOKENS,
    SEGMENT_AUDIO_TOKENS,
    TOKEN_SAMPLES,
)
from thinker_server.segments.segmenter import Part, Segmenter
from thinker_server.segments.text_slots import TimedTextToken
from thinker_server.speaking.voice import TimedPhone

pytestmark = pytest.mark.unit

WIDTH = 3
PHONE_US = 70_000


def speech(samples: int) -> np.ndarray:
    """Noise, so that no two stretches are alike."""
    return np.random.default_rng(5).integers(-9000, 9000, samples).astype(np.int16)


def parts_of(pcm: np.ndarray, cuts: list[int], words_at_us: list[int]) -> list[Part]:
    """Parts of speech that is pushed in pieces ending at `cuts`."""
    segmenter = Segmenter()
    for index, start in enumerate(words_at_us):
        segmenter.add_text(TimedTextToken(index, np.full(WIDTH, index, np.float16), start))
    total_us = len(pcm) * 1000 // 24
    segmenter.add_phones(
        [TimedPhone("AH", at, at + PHONE_US) for at in range(0, total_us, PHONE_US)]
    )
    parts: list[Part] = []
    for start, end in pairwise([0, *cuts, len(pcm)]):
        parts += segmenter.push(pcm[start:end])
    return parts + list(segmenter.end())


def encoded(parts: list[Part]) -> list[list[bytes]]:
    return [[bytes(frame) for frame in encode(part.message("s", 1, 2))] for part in parts]


@pytest.mark.parametrize("seed", range(8))
def test_the_stream_of_chunks_does_not_depend_on_how_the_speech_is_cut(seed: int) -> None:
    random = np.random.default_rng(seed)
    pcm = speech(int(random.integers(1, 70 * TOKEN_SAMPLES)))
    words = sorted(int(at) for at in random.integers(0, len(pcm) * 1000 // 24, 30))
    whole = encoded(parts_of(pcm, [], words))
    for count in (1, 5, 60):
        cuts = sorted(int(cut) for cut in random.integers(0, len(pcm) + 1, count))
        assert encoded(parts_of(pcm, cuts, words)) == whole


@pytest.mark.parametrize("tokens", [1, 3, 4, 5, 25, 26, 27, 52, 61])
def test_token_counts_add_up_and_only_the_last_part_is_final(tokens: int) -> None:
    pcm = speech(tokens * TOKEN_SAMPLES - 700)
    parts = parts_of(pcm, [], [])
    assert [part.first_token for part in parts] == list(
        np.cumsum([0, *(part.audio_tokens for part in parts)])[:-1]
    )
    assert sum(part.audio_tokens for part in parts) == tokens
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]
    joined = np.concatenate([part.pcm for part in parts])
    assert np.array_equal(joined[: len(pcm)], pcm)
    assert not joined[len(pcm) :].any(), "the end is padded with silence"


def test_no_part_crosses_a_segment_and_all_but_the_last_have_enough_tokens() -> None:
    parts = parts_of(speech(80 * TOKEN_SAMPLES), [], [])
    for part in parts:
        last = part.first_token + part.audio_tokens - 1
        assert part.first_token // SEGMENT_AUDIO_TOKENS == last // SEGMENT_AUDIO_TOKENS
    assert all(part.audio_tokens >= MIN_PART_AUDIO_TOKENS for part in parts[:-1])


def test_segments_yield_six_and_seven_chunks_in_turn() -> None:
    parts = parts_of(speech(4 * SEGMENT_AUDIO_TOKENS * TOKEN_SAMPLES), [], [])
    ends = [part.first_token + part.audio_tokens for part in parts]
    whole = [end // CHUNK_AUDIO_TOKENS for end in ends if end % SEGMENT_AUDIO_TOKENS == 0]
    assert [after - before for before, after in pairwise([0, *whole])] == [6, 7, 6, 7]


def test_the_first_part_leaves_as_soon_as_it_is_complete() -> None:
    segmenter = Segmenter()
    assert not list(segmenter.push(speech(MIN_PART_AUDIO_TOKENS * TOKEN_SAMPLES)))
    (part,) = segmenter.push(speech(1))
    assert (part.first_token, part.audio_tokens) == (0, MIN_PART_AUDIO_TOKENS)


def test_a_reply_without_speech_has_no_parts() -> None:
    assert parts_of(speech(0), [], []) == []


def test_features_are_those_of_the_whole_speech() -> None:
    pcm = speech(30 * TOKEN_SAMPLES)
    whole = token_features(SpeechFeatures().push(FeatureResampler().push(pcm)))
    parts = parts_of(pcm, [11, 5000, 40_001], [])
    assert np.array_equal(np.concatenate([part.features for part in parts]), whole)


def test_phones_travel_once_with_the_part_in_which_they_begin() -> None:
    parts = parts_of(speech(40 * TOKEN_SAMPLES), [], [])
    for part in parts:
        start = part.first_token * AUDIO_TOKEN_US
        end = start + part.audio_tokens * AUDIO_TOKEN_US
        assert all(start <= phone.start_us < end for phone in part.phones)
    starts = [phone.start_us for part in parts for phone in part.phones]
    assert starts == list(range(0, 40 * AUDIO_TOKEN_US, PHONE_US))


def test_parts_survive_the_wire() -> None:
    (*_, part) = parts_of(speech(9 * TOKEN_SAMPLES), [], [8 * AUDIO_TOKEN_US])
    message = decode(encode(part.message("s", epoch=3, turn=4)))
    assert isinstance(message, HiddenChunk)
    assert (message.turn, message.epoch, message.final) == (4, 3, True)
    assert message.text_ids is not None
    assert message.text_ids.tolist() == [0]
