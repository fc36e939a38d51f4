"""The seam between the Actor and whatever makes speech of audio tokens: codes in, samples out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
"""Rows of the speech codebook, (T,)."""
Samples = NDArray[np.int16]
"""Speech at 24 kHz, (N,)."""


class SpeechStream(Protocol):
    """The speech of one reply, decoded in blocks whose sizes depend on nothing but their order."""

    @property
    def next_block(self) -> int:
        """Audio tokens that the next block takes."""

    def extend(self, codes: Codes) -> Samples:
        """Decode one block; the samples that are final after it."""

    def finish(self, codes: Codes) -> Samples:
        """Decode the last tokens, fewer than a block, perhaps none; all samples that are left.

        A whole reply has 1920 samples for each of its tokens.
        """


class SpeechDecoder(Protocol):
    """Makes streams; holds what replies share (weights, tables)."""

    @property
    def label(self) -> str:
        """A short name for people: what speaks."""

    @property
    def codes(self) -> int:
        """Rows of the codebook: every code is below."""

    def open(self) -> SpeechStream:
        """Begin a reply."""
