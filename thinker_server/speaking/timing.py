"""From the durations that a voice's duration predictor gave to timed phones and words.

Both voices predict a whole number of 25-ms frames for each character of the phoneme string, with a
pad before and after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thinker_server.speaking.phonemes import (
    LENGTH,
    PAUSES,
    RHOTIC_VOWELS,
    SILENCE,
    STRESS,
    SYMBOLS,
)
from thinker_server.speaking.voice import TimedPhone

FRAME_SAMPLES = 600
FRAME_US = 25_000
"""One predicted frame: 600 samples at 24 kHz, checked against the length of the speech."""
AUDIO_LEAD_US = 45_000
"""The sound of a phone comes this much before its predicted time, in both voices: the shift that
best correlates predicted vowels with low-band energy and sibilants with high-band energy."""


@dataclass
class _Span:
    symbol: str
    frames: int


@dataclass(frozen=True)
class SpeechTimes:
    """Phones, and for each word of the phoneme string its (start_us, end_us)."""

    phones: tuple[TimedPhone, ...]
    words: tuple[tuple[int, int], ...]


def speech_times(phonemes: str, frames: Sequence[int], total_us: int, cut_us: int) -> SpeechTimes:
    """Times of one utterance of which the first `cut_us` were cut away.

    `frames` holds one count for each character of `phonemes` between two for the pads.
    """
    spans, word_of = _spans(phonemes, frames)
    shift = AUDIO_LEAD_US + cut_us
    phones: list[TimedPhone] = []
    words: dict[int, tuple[int, int]] = {}
    at = 0
    for span, word in zip(spans, word_of, strict=True):
        start = _clamp(at * FRAME_US - shift, total_us)
        at += span.frames
        end = _clamp(at * FRAME_US - shift, total_us) if span is not spans[-1] else total_us
        if end > start:
            phones.append(TimedPhone(span.symbol, start, end))
        if word >= 0 and span.symbol != SILENCE:
            words[word] = (words[word][0] if word in words else start, end)
    count = len(phonemes.split(" "))
    return SpeechTimes(tuple(phones), tuple(_fill(words, count, total_us)))


def _clamp(time_us: int, total_us: int) -> int:
    return min(max(time_us, 0), total_us)


def _spans(phonemes: str, frames: Sequence[int]) -> tuple[list[_Span], list[int]]:
    """Spans of ARPAbet with frame counts, and the index of the word that each belongs to."""
    spans = [_Span(SILENCE, frames[0])]
    words = [-1]
    word, owed, previous = 0, 0, ""
    for character, count in zip(phonemes, frames[1:-1], strict=True):
        if character == " ":
            word += 1
            spans[-1].frames += count
        elif character in STRESS:
            owed += count
            continue
        elif character == LENGTH or (
            character == "ɹ" and previous in RHOTIC_VOWELS and words[-1] == word
        ):
            spans[-1].frames += count + owed
            if character == "ɹ":
                spans[-1].symbol = "ER"
            owed = 0
        elif character in PAUSES or character not in SYMBOLS:
            _pause(spans, words, word, count + owed)
            owed = 0
        else:
            spans.append(_Span(SYMBOLS[character], count + owed))
            words.append(word)
            owed = 0
        previous = character
    _pause(spans, words, -1, frames[-1] + owed)
    return spans, words


def _pause(spans: list[_Span], words: list[int], word: int, frames: int) -> None:
    """Lengthen the silence at the end, or begin one."""
    if spans[-1].symbol == SILENCE and len(spans) > 1:
        spans[-1].frames += frames
    else:
        spans.append(_Span(SILENCE, frames))
        words.append(word)


def _fill(words: dict[int, tuple[int, int]], count: int, total_us: int) -> list[tuple[int, int]]:
    """Times of all words; a silent one takes no time where the next one begins."""
    filled: list[tuple[int, int]] = []
    following = total_us
    for word in reversed(range(count)):
        times = words.get(word, (following, following))
        following = times[0]
        filled.append(times)
    return filled[::-1]
