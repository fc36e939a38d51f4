"""A voice played faster or slower: other rates and pitches of speech with exact times."""

from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from thinker_server.speaking.voice import Utterance, Voice

PACES: Final = (
    Fraction(17, 20),
    Fraction(23, 25),
    Fraction(1),
    Fraction(1),
    Fraction(27, 25),
    Fraction(6, 5),
)
"""From a slow low voice to a quick high one; a third of the speech stays as it is."""


class PacedVoice:
    """Another voice, resampled by `pace`; pitch and vocal tract change with the rate."""

    def __init__(self, voice: Voice, pace: Fraction) -> None:
        self._voice = voice
        self._pace = pace

    @property
    def name(self) -> str:
        """The voice's own name."""
        return self._voice.name

    @property
    def first_clause_words(self) -> int:
        """See Voice."""
        return self._voice.first_clause_words

    def synthesise(self, text: str) -> Utterance:
        """Speech of one clause, its times divided by the pace."""
        spoken = self._voice.synthesise(text)
        if self._pace == 1 or len(spoken.pcm) == 0:
            return spoken
        pace = self._pace
        samples = resample_poly(spoken.pcm.astype(np.float64), pace.denominator, pace.numerator)
        pcm = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
        phones = (
            replace(p, start_us=int(p.start_us / pace), end_us=int(p.end_us / pace))
            for p in spoken.phones
        )
        words = (
            replace(w, start_us=int(w.start_us / pace), end_us=int(w.end_us / pace))
            for w in spoken.words
        )
        return Utterance(pcm, tuple(phones), tuple(words))
