"""A reply's speech: cut by audio tokens, in order, whatever the parts."""

import random

import numpy as np
import pytest

from actor_server.errors import SpeechRefused
from actor_server.motion.conditioning import condition_arrays
from actor_server.motion.source import Condition, Visibility
from actor_server.speech_queue import MAX_QUEUED_TOKENS, TurnSpeech
from proto.messages import HiddenChunk, Mood, MoodChange, SpokenMood
from proto.time_law import CHUNK_SAMPLES, TOKEN_SAMPLES
from tests.unit.actor_server.conditions import parts_of, reply

pytestmark = pytest.mark.unit


def queue(lookahead: int = 0) -> TurnSpeech:
    return TurnSpeech(1, history_tokens=4, lookahead_tokens=lookahead)


@pytest.mark.parametrize("seed", range(8))
def test_chunks_hold_the_replys_samples_in_order_however_it_was_cut(seed: int) -> None:
    chance = random.Random(seed)
    whole = reply("AA M SIL " * chance.randint(2, 12))
    assert whole.pcm is not None
    speech, heard, tokens = queue(), [], []
    for part in parts_of(whole, [chance.randint(1, 9) for _ in range(80)]):
        speech.extend(part)
        while speech.ready:
            cut = speech.cut()
            heard.append(cut.pcm)
            tokens.append((cut.window.first_token, cut.window.audio_tokens))
    assert speech.finished
    sound = np.concatenate(heard)
    assert np.array_equal(sound[: len(whole.pcm)], whole.pcm)
    assert not sound[len(whole.pcm) :].any()
    assert sum(count for _, count in tokens) == whole.audio_tokens
    assert all(first == 4 * n for n, (first, _) in enumerate(tokens))


def test_a_chunk_waits_for_four_tokens_and_the_lookahead_or_the_end() -> None:
    first, rest = parts_of(reply("AA " * 16), [5])
    for lookahead, ready in ((0, True), (1, True), (2, False)):
        speech = queue(lookahead)
        speech.extend(first)
        assert speech.ready is ready
        speech.extend(rest)
        assert speech.ready


def test_only_the_last_chunk_is_marked() -> None:
    speech = queue()
    speech.extend(reply("AA " * 12))
    marks = []
    while speech.ready:
        marks.append(speech.cut().window.last)
    assert marks == [False, False, False, True]


def test_the_window_shows_history_and_hides_what_was_never_heard() -> None:
    speech = queue()
    speech.extend(reply("AA " * 10))
    first, second = speech.cut().window, speech.cut().window
    assert first.heard.tolist() == [False] * 4 + [True] * 4
    assert second.heard.tolist() == [True] * 8
    assert np.array_equal(second.features[:4], first.features[4:])


def test_a_gap_and_a_closed_reply_are_refused() -> None:
    speech = queue()
    first, *rest = parts_of(reply("AA " * 30), [4, 4])
    speech.extend(first)
    with pytest.raises(SpeechRefused, match="begins at 8"):
        speech.extend(rest[1])
    closed = queue()
    closed.extend(reply())
    with pytest.raises(SpeechRefused, match="closed"):
        closed.extend(reply())


def test_tokens_without_pcm_are_refused() -> None:
    ids = HiddenChunk(
        session_id="s",
        turn=1,
        first_token=0,
        audio_tokens=4,
        final=True,
        audio_ids=np.zeros(4, np.int32),
    )
    with pytest.raises(SpeechRefused, match="decoder"):
        queue().extend(ids)


def test_a_reply_without_end_is_refused_before_it_fills_the_memory() -> None:
    speech = queue()
    pcm = np.zeros(500 * TOKEN_SAMPLES, np.int16)
    for first in range(0, MAX_QUEUED_TOKENS, 500):
        speech.extend(silent_part(first, pcm))
    with pytest.raises(SpeechRefused, match=str(MAX_QUEUED_TOKENS)):
        speech.extend(silent_part(MAX_QUEUED_TOKENS, pcm))


def silent_part(first_token: int, pcm: np.ndarray) -> HiddenChunk:
    tokens = len(pcm) // TOKEN_SAMPLES
    return HiddenChunk(
        session_id="s",
        turn=1,
        first_token=first_token,
        audio_tokens=tokens,
        final=False,
        pcm=pcm,
    )


def test_text_states_are_seen_by_the_chunks_of_their_segment_only() -> None:
    whole = reply("AA " * 40)  # 50 audio tokens: two segments
    states = np.arange(26, dtype=np.float16)[:, None] * np.ones((1, 3), np.float16)
    speech = queue()
    speech.extend(whole.model_copy(update={"text_states": states, "text_ids": None}))
    seen = []
    while speech.ready:
        window = speech.cut().window
        assert window.text_states is not None
        assert window.text_states[:, 0].tolist() == [*window.text_slots]
        seen.append((window.first_token, window.text_slots[0], len(window.text_states)))
    assert seen[0] == (0, 0, 13)
    assert seen[6] == (24, 0, 26)  # tokens 24-27 lie in both segments
    assert seen[7] == (28, 13, 13)


def test_pcm_of_a_chunk_has_its_full_length_at_the_end_of_a_reply() -> None:
    speech = queue()
    speech.extend(parts_of(reply("AA " * 4), [])[0])
    while speech.ready:
        assert len(speech.cut().pcm) == CHUNK_SAMPLES


def test_a_segment_with_little_text_moves_no_other_segments_text() -> None:
    whole = reply("AA " * 40)
    first, rest = parts_of(whole, [26])
    speech = queue()
    for part, slot, count in ((first, 0, 4), (rest, 13, 6)):
        states = np.arange(slot, slot + count, dtype=np.float16)[:, None]
        speech.extend(part.model_copy(update={"first_text_slot": slot, "text_states": states}))
    window = next(cut for _ in range(7) if (cut := speech.cut().window).first_token == 24)
    assert window.text_slots == (0, 1, 2, 3, 13, 14, 15, 16, 17, 18)
    made = condition_arrays(Condition("speaking", 1, window), Visibility(4, 0, state_width=1))
    assert np.flatnonzero(made.text_seen).tolist() == [*window.text_slots]
    assert made.text[made.text_seen][:, 0].tolist() == [*window.text_slots]


def with_states(whole: HiddenChunk, width: int = 3) -> HiddenChunk:
    """Token k has the state (k + 1, k + 1, ...)."""
    states = np.repeat(np.arange(1, whole.audio_tokens + 1, dtype=np.float16)[:, None], width, 1)
    return whole.model_copy(update={"audio_states": states})


def test_the_window_shows_the_states_of_the_tokens_that_it_shows() -> None:
    speech = queue(lookahead=2)
    speech.extend(with_states(reply("AA " * 8)))
    first, second = speech.cut().window, speech.cut().window
    assert first.audio_states is not None
    assert second.audio_states is not None
    assert first.audio_states[:, 0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert second.audio_states[:, 2].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert second.heard.all()


def test_without_the_state_of_every_token_there_are_none() -> None:
    first, rest = parts_of(reply("AA " * 8), [6])
    states = with_states(first).audio_states
    assert states is not None
    for other in (None, np.zeros((rest.audio_tokens, 5), np.float16)):
        speech = queue(lookahead=4)
        speech.extend(first.model_copy(update={"audio_states": states}))
        speech.extend(rest.model_copy(update={"audio_states": other}))
        assert speech.cut().window.audio_states is None


@pytest.mark.parametrize("width", [3, 5])
def test_a_model_of_states_is_conditioned_on_them_where_it_knows_their_width(width: int) -> None:
    sight = Visibility(4, 2, state_width=3, audio_states=True)
    speech = queue(lookahead=2)
    speech.extend(with_states(reply("AA " * 8), width))
    window = speech.cut().window
    made = condition_arrays(Condition("speaking", 1, window), sight)
    assert made.audio.shape == (10, 3)
    if width == 3:
        assert made.audio_seen.tolist() == window.heard.tolist()
        assert made.audio[:, 1].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    else:
        assert not made.audio_seen.any()
        assert not made.audio.any()


@pytest.mark.parametrize("sizes", [[40], [3] * 40, [5, 9, 1, 12]])
def test_moods_change_at_their_tokens_however_the_reply_was_cut(sizes: list[int]) -> None:
    warm = SpokenMood(meant=Mood(expression="warm"))
    serious = SpokenMood(guess=Mood(expression="serious"))
    changes = (MoodChange(first_token=5, mood=warm), MoodChange(first_token=12, mood=serious))
    speech, moods = queue(), []
    for part in parts_of(reply("AA " * 16), sizes):
        own = range(part.first_token, part.first_token + part.audio_tokens)
        of_part = tuple(change for change in changes if change.first_token in own)
        speech.extend(part.model_copy(update={"moods": of_part or None}))
        while speech.ready:
            moods += speech.cut().moods
    assert moods == [SpokenMood()] * 5 + [warm] * 7 + [serious] * 8
