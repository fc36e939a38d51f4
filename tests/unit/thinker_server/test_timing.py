"""Phone and word times from predicted durations."""

import pytest

from thinker_server.speaking.phonemes import ARPABET, SILENCE, SYMBOLS
from thinker_server.speaking.timing import AUDIO_LEAD_US, FRAME_US, speech_times

pytestmark = pytest.mark.unit


def timed(phonemes: str, frames: list[int]) -> tuple[list[tuple[str, int]], list[tuple[int, int]]]:
    """Phones as (symbol, frames) and words in frames, the audio's lead taken back."""
    total = sum(frames) * FRAME_US
    times = speech_times(phonemes, frames, total + AUDIO_LEAD_US, cut_us=-AUDIO_LEAD_US)
    phones = [(p.symbol, (p.end_us - p.start_us) // FRAME_US) for p in times.phones]
    return phones, [(start // FRAME_US, end // FRAME_US) for start, end in times.words]


def test_stress_lengthens_the_sound_that_it_announces() -> None:
    phones, _ = timed("tˈɑ", [5, 2, 3, 4, 2])
    assert phones[:3] == [(SILENCE, 5), ("T", 2), ("AA", 7)]


def test_blanks_between_words_belong_to_the_sound_before() -> None:
    phones, words = timed("ɪt ɪz", [1, 2, 3, 1, 2, 2, 4])
    assert phones[1:5] == [("IH", 2), ("T", 4), ("IH", 2), ("Z", 2)]
    assert words == [(1, 7), (7, 11)]


def test_punctuation_is_silence_and_belongs_to_no_word() -> None:
    phones, words = timed("ɪt, ɪz.", [1, 2, 3, 5, 1, 2, 2, 6, 4])
    assert phones[3] == (SILENCE, 6)
    assert phones[-1][0] == SILENCE
    assert words == [(1, 6), (12, 16)]


def test_a_vowel_and_its_r_become_one_sound_only_within_a_word() -> None:
    assert [symbol for symbol, _ in timed("bɜɹd", [1] * 6)[0]] == ["SIL", "B", "ER", "D", "SIL"]
    separate = [symbol for symbol, _ in timed("ə ɹʌn", [1] * 7)[0]]
    assert separate == ["SIL", "AH", "R", "AH", "N", "SIL"]


def test_a_length_mark_lengthens_the_sound_before_it() -> None:
    phones, _ = timed("fɑːðə", [1, 1, 2, 3, 1, 1, 1])
    assert phones[2] == ("AA", 5)


def test_phones_follow_each_other_without_gaps_to_the_end() -> None:
    frames = [9, 1, 2, 3, 2, 1, 5, 1, 8]
    total = sum(frames) * FRAME_US - 100_000
    times = speech_times("ɪt, ɪz.", frames, total, cut_us=100_000)
    assert times.phones[0].start_us == 0
    assert times.phones[-1].end_us == total
    assert all(a.end_us == b.start_us for a, b in zip(times.phones, times.phones[1:], strict=False))


def test_every_sound_of_the_voices_has_an_arpabet_symbol() -> None:
    assert set(SYMBOLS.values()) == ARPABET
    assert len(ARPABET) == 39
