"""Cutting a voice's raw output to what is worth waiting for, with its times kept right."""

from collections.abc import Sequence

import numpy as np

from thinker_server.speaking.pronunciation import Pronunciation
from thinker_server.speaking.timing import AUDIO_LEAD_US, FRAME_US, speech_times
from thinker_server.speaking.voice import TimedWord, Utterance

LEAD_IN_US = 40_000
"""Silence kept before the first sound; the voices make 0.2-0.5 s, for which one would wait."""
SENTENCE_PAUSE_US = 240_000
CLAUSE_PAUSE_US = 80_000
_SAMPLE_US_NUMERATOR, _SAMPLE_US_DENOMINATOR = 24_000, 1_000_000


def clip_utterance(
    speech: np.ndarray, pronunciation: Pronunciation, frames: Sequence[int]
) -> Utterance:
    """Utterance of raw float speech (N,) in [-1, 1] whose phoneme durations are `frames`."""
    before, after = frames[0], frames[-1] + _closing_frames(pronunciation.phonemes, frames)
    cut_us = max(before * FRAME_US - AUDIO_LEAD_US - LEAD_IN_US, 0)
    spoken_end_us = (sum(frames) - after) * FRAME_US - AUDIO_LEAD_US
    sentence = pronunciation.phonemes.rstrip('"”)').endswith((".", "!", "?", "…"))
    pause_us = SENTENCE_PAUSE_US if sentence else CLAUSE_PAUSE_US
    end_us = min(_us_of(len(speech)), spoken_end_us + pause_us)
    pcm = _s16(speech[_samples_of(cut_us) : _samples_of(end_us)])
    times = speech_times(pronunciation.phonemes, frames, _us_of(len(pcm)), cut_us)
    return Utterance(pcm, times.phones, _words(pronunciation, times.words, _us_of(len(pcm))))


def _closing_frames(phonemes: str, frames: Sequence[int]) -> int:
    """Frames of the punctuation at the very end."""
    sounding = phonemes.rstrip(' ;:,.!?—…"“”()')
    return sum(frames[1 + len(sounding) : -1])


def _words(
    pronunciation: Pronunciation, times: Sequence[tuple[int, int]], total_us: int
) -> tuple[TimedWord, ...]:
    places = [*pronunciation.word_places, len(times)]
    words = []
    for text, place, following in zip(pronunciation.words, places, places[1:], strict=False):
        start = times[place][0] if place < len(times) else total_us
        last = max(place, following - 1)
        end = times[last][1] if last < len(times) else total_us
        words.append(TimedWord(text, start, max(start, end)))
    return tuple(words)


def _s16(speech: np.ndarray) -> np.ndarray:
    pcm: np.ndarray = (np.clip(speech, -1.0, 1.0) * 32767.0).astype(np.int16)
    return pcm


def _samples_of(time_us: int) -> int:
    return time_us * _SAMPLE_US_NUMERATOR // _SAMPLE_US_DENOMINATOR


def _us_of(samples: int) -> int:
    return samples * _SAMPLE_US_DENOMINATOR // _SAMPLE_US_NUMERATOR
