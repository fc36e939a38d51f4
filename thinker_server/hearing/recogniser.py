"""The seam of speech recognition. Dimension letter: N samples at 16 kHz."""

from typing import Protocol

import numpy as np


class HearingStream(Protocol):
    """One turn of one caller. Calls are slow (0.1 s) and must not overlap."""

    def hear(self, pcm: np.ndarray) -> str:
        """Take speech (N,) int16; the text so far, which may still change."""
        ...

    def settle(self) -> str:
        """The best text for all that was heard; more may follow."""
        ...

    def close(self) -> None:
        """Free the stream."""
        ...


class Recogniser(Protocol):
    """A model shared by all callers of a language."""

    def open(self) -> HearingStream:
        """A stream for a new turn."""
        ...
