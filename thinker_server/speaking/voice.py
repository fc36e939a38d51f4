"""The seam of speech synthesis. Dimension letter: N samples at 24 kHz."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class TimedPhone:
    """One speech sound, in microseconds from the start of its utterance; ARPAbet or SIL."""

    symbol: str
    start_us: int
    end_us: int


@dataclass(frozen=True)
class TimedWord:
    """One word of the text that was asked for, in microseconds from the start of its utterance."""

    text: str
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Utterance:
    """Speech with its times: pcm (N,) int16 at 24 kHz; words in the order of the text."""

    pcm: np.ndarray
    phones: tuple[TimedPhone, ...]
    words: tuple[TimedWord, ...]


class Voice(Protocol):
    """Something that speaks. `synthesise` is slow and runs in a worker thread."""

    @property
    def name(self) -> str:
        """The name that sessions ask for."""
        ...

    @property
    def first_clause_words(self) -> int:
        """How long the first clause may be without making the caller wait for its synthesis."""
        ...

    def synthesise(self, text: str) -> Utterance:
        """Speech of one clause of spoken text."""
        ...
