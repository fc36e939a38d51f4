"""A reply through the decoder: the same speech however it was cut, token by token in time."""

import random

import numpy as np
import pytest

from actor_server.errors import SpeechRefused
from actor_server.speech.reply import MAX_WAITING_TOKENS, DecodedReply
from actor_server.speech_queue import TurnSpeech
from proto.feature_resampler import FeatureResampler
from proto.message import Stamp
from proto.messages import HiddenChunk, Mood, MoodChange, SpokenMood
from proto.speech_features import SpeechFeatures, token_features
from proto.time_law import SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS, TOKEN_SAMPLES
from tests.unit.actor_server.speech.spelling import (
    CODES,
    SpellingDecoder,
    coded,
    coded_parts,
)

pytestmark = pytest.mark.unit

SENTENCE = list(range(100, 170))


def decoded(parts: list[HiddenChunk], decoder: SpellingDecoder | None = None) -> list[HiddenChunk]:
    """All that a reply gives, each part as soon as it can."""
    reply = DecodedReply(parts[0], decoder or SpellingDecoder())
    given = []
    for part in parts:
        reply.take(part)
        while reply.ready:
            given += reply.step()
    return given


@pytest.mark.parametrize("seed", range(8))
def test_the_same_parts_come_out_however_the_reply_was_cut(seed: int) -> None:
    dice = random.Random(seed)
    sizes = [dice.randint(0, 9) for _ in range(12)]
    decoder = SpellingDecoder()
    whole, pieces = decoded([coded(SENTENCE, final=True)]), coded_parts(SENTENCE, sizes)
    given = decoded(pieces, decoder)
    assert [(p.first_token, p.audio_tokens, p.final) for p in given] == [
        (p.first_token, p.audio_tokens, p.final) for p in whole
    ]
    for part, other in zip(given, whole, strict=True):
        np.testing.assert_array_equal(part.pcm, other.pcm)
        np.testing.assert_array_equal(part.features, other.features)
    assert decoder.streams[0].blocks == [6, 4, 13, 13, 13, 13, 8]


def test_every_token_is_heard_in_its_own_80_ms() -> None:
    given = decoded(coded_parts(SENTENCE, [4, 4, 9, 26]))
    pcm = np.concatenate([part.pcm for part in given if part.pcm is not None])
    assert np.array_equal(pcm, np.repeat(np.array(SENTENCE, np.int16), TOKEN_SAMPLES))
    firsts = [part.first_token for part in given]
    assert firsts == np.cumsum([0, *(part.audio_tokens for part in given[:-1])]).tolist()
    assert [part.final for part in given] == [False] * (len(given) - 1) + [True]


def test_the_features_are_those_of_the_speech_as_every_preset_computes_them() -> None:
    given = decoded([coded(SENTENCE, final=True)])
    pcm = np.repeat(np.array(SENTENCE, np.int16), TOKEN_SAMPLES)
    expected = token_features(SpeechFeatures().push(FeatureResampler().push(pcm)))
    found = np.concatenate([part.features for part in given if part.features is not None])
    np.testing.assert_array_equal(found, expected)


def test_ten_tokens_make_the_first_chunk() -> None:
    reply = DecodedReply(coded([]), SpellingDecoder())
    reply.take(coded(SENTENCE[:9]))
    assert reply.ready
    assert reply.step() == []  # samples, but no whole token
    assert not reply.ready
    reply.take(coded(SENTENCE[9:10], first_token=9))
    (first,) = reply.step()
    assert (first.first_token, first.audio_tokens) == (0, 4)


def test_what_is_decoded_can_be_cut_into_chunks() -> None:
    speech = TurnSpeech(1, history_tokens=4, lookahead_tokens=2)
    for part in decoded(coded_parts(SENTENCE, [4, 9, 9])):
        speech.extend(part)
    window = speech.cut().window
    assert window.heard.tolist() == [False] * 4 + [True] * 6
    assert window.phones is None
    assert window.text_states is None


@pytest.mark.parametrize("codes", [[], SENTENCE[:3], SENTENCE[:6], SENTENCE[:10]])
def test_a_short_reply_ends_too(codes: list[int]) -> None:
    for parts in (
        [coded(codes, final=True)],
        [coded(codes), coded([], first_token=len(codes), final=True)],
    ):
        given = decoded(parts)
        assert given[-1].final
        assert sum(part.audio_tokens for part in given) == len(codes)


def test_the_trace_of_a_reply_goes_on_with_its_first_part() -> None:
    stamp = Stamp(name="thought", at_us=5, host="h")
    parts = coded_parts(SENTENCE, [30])
    parts[0] = parts[0].model_copy(update={"stamps": (stamp,)})
    given = decoded(parts)
    assert given[0].stamps == (stamp,)
    assert not any(part.stamps for part in given[1:])


def test_gaps_and_closed_replies_are_refused() -> None:
    reply = DecodedReply(coded([]), SpellingDecoder())
    reply.take(coded(SENTENCE[:6]))
    with pytest.raises(SpeechRefused, match="has 6 audio tokens, this part begins at 7"):
        reply.take(coded([1], first_token=7))
    reply.take(coded([], first_token=6, final=True))
    with pytest.raises(SpeechRefused, match="is closed"):
        reply.take(coded([1], first_token=6))


def test_speech_that_needs_no_decoder_is_refused_with_the_way_out() -> None:
    pcm = np.zeros(4 * TOKEN_SAMPLES, np.int16)
    carried = coded([1, 2, 3, 4]).model_copy(update={"audio_ids": None, "pcm": pcm})
    with pytest.raises(SpeechRefused, match='speech = "carried"'):
        DecodedReply(carried, SpellingDecoder()).take(carried)


def test_a_code_that_is_no_row_of_the_codebook_is_refused() -> None:
    part = coded([1, CODES])
    with pytest.raises(SpeechRefused, match=f"audio id {CODES} is no row"):
        DecodedReply(part, SpellingDecoder()).take(part)


def test_a_reply_without_end_is_refused_before_it_fills_the_memory() -> None:
    reply = DecodedReply(coded([]), SpellingDecoder())
    reply.take(coded([1] * MAX_WAITING_TOKENS))
    with pytest.raises(SpeechRefused, match=f"more than {MAX_WAITING_TOKENS}"):
        reply.take(coded([1], first_token=MAX_WAITING_TOKENS))


def thought(parts: list[HiddenChunk]) -> list[HiddenChunk]:
    """The same parts with states: audio token k has state k, text slot s of a segment 100 + s."""
    made, slot = [], 0
    for part in parts:
        end = part.first_token + part.audio_tokens
        numbers = np.arange(part.first_token, end, dtype=np.float16)
        update: dict[str, object] = {"audio_states": numbers[:, None]}
        segment = part.first_token // SEGMENT_AUDIO_TOKENS
        slots = range(max(slot, SEGMENT_TEXT_SLOTS * segment), SEGMENT_TEXT_SLOTS * segment + 5)
        if slots:  # five of a segment's thirteen, with its first part
            slot = slots.stop
            update |= {
                "first_text_slot": slots.start,
                "text_states": 100 + np.array(slots, np.float16)[:, None],
            }
        made.append(part.model_copy(update=update))
    return made


@pytest.mark.parametrize("sizes", [[4, 4, 4, 4, 4, 6] * 2, [26, 26], [1] * 60])
def test_states_travel_with_the_speech_of_their_tokens(sizes: list[int]) -> None:
    given = decoded(thought(coded_parts(SENTENCE, sizes)))
    audio = [part.audio_states for part in given if part.audio_tokens]
    assert np.concatenate([a for a in audio if a is not None])[:, 0].tolist() == [*range(70)]
    seen: dict[int, float] = {}
    for part in given:
        last = part.first_token + part.audio_tokens - 1
        assert part.first_token // SEGMENT_AUDIO_TOKENS == last // SEGMENT_AUDIO_TOKENS
        if part.text_states is not None:
            assert part.first_text_slot // SEGMENT_TEXT_SLOTS <= last // SEGMENT_AUDIO_TOKENS
            seen |= dict(enumerate(part.text_states[:, 0].tolist(), part.first_text_slot))
    slots = [13 * segment + row for segment in range(3) for row in range(5)]
    assert seen == {slot: 100 + slot for slot in slots}


@pytest.mark.parametrize("sizes", [[26, 26], [1] * 60])
def test_moods_travel_with_their_tokens(sizes: list[int]) -> None:
    changes = [
        MoodChange(first_token=t, mood=SpokenMood(meant=Mood(expression="warm")))
        for t in (0, 30, 69)
    ]
    parts = []
    for part in coded_parts(SENTENCE, sizes):
        own = range(part.first_token, part.first_token + part.audio_tokens)
        of_part = tuple(change for change in changes if change.first_token in own)
        parts.append(part.model_copy(update={"moods": of_part or None}))
    given = decoded(parts)
    assert [change for part in given for change in part.moods or ()] == changes
    for part in given:
        own = range(part.first_token, part.first_token + part.audio_tokens)
        assert all(change.first_token in own for change in part.moods or ())
