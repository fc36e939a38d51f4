"""The seam of speech recognition. Dimension letter: N samples at 16 kHz."""

from typing import Protocol

import numpy as np


class HearingStream(Protocol):
    """One turn of one caller. Calls must not overlap."""

    def hear(self, pcm: np.ndarray) -> None:
        """Take speech (N,) int16; quick."""
        ...

    def transcribe(self) -> str:
        """The text of all that was heard, which more of it may change; slow (0.1 to 0.2 s)."""
        ...

    def close(self) -> None:
        """Free the stream."""
        ...


class Recogniser(Protocol):
    """A model shared by all callers of a language."""

    def open(self) -> HearingStream:
        """A stream for a new turn."""
        ...
