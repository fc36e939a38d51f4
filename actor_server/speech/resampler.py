"""Decoded speech from 22 050 to 24 000 Hz, without delay, the same however the speech is cut."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

from actor_server.speech.mel_clock import SAMPLE_HZ
from proto.time_law import SPEECH_HZ

UP, DOWN = 160, 147
"""147 samples in are 160 samples out: one group, 6.7 ms. An audio token is 12 groups."""
CUTOFF_HZ: Final = 10_600.0
REACH_GROUPS: Final = 1
"""An output sees one group to either side of itself."""


class SpeechResampler:
    """Stateful polyphase resampler of float samples in [-1, 1] to s16."""

    def __init__(self) -> None:
        self._block = np.zeros(REACH_GROUPS * DOWN, np.float64)
        """The group before the next output, and what came after it."""

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.int16]:
        """All samples at 24 kHz that are decided now: whole groups but the last."""
        self._block = np.concatenate([self._block, samples.astype(np.float64)])
        groups = len(self._block) // DOWN - 2 * REACH_GROUPS
        if groups <= 0:
            return np.zeros(0, np.int16)
        seen = self._block[: (groups + 2 * REACH_GROUPS) * DOWN]
        self._block = self._block[groups * DOWN :]
        skip = 2 * REACH_GROUPS * UP  # the group before, and the filter's delay of one group
        filtered = upfirdn(_low_pass(), seen, UP, DOWN)[skip : skip + groups * UP]
        speech: NDArray[np.int16] = np.clip(np.rint(filtered * 32767), -32768, 32767).astype(
            np.int16
        )
        return speech

    def finish(self, tail: int) -> NDArray[np.int16]:
        """What is left, with `tail` samples of silence after it."""
        return self.push(np.zeros(tail + REACH_GROUPS * DOWN, np.float32))


@cache
def _low_pass() -> NDArray[np.float64]:
    """Symmetric filter at the rate in between; its gain makes up for the inserted zeros."""
    assert UP * SAMPLE_HZ == DOWN * SPEECH_HZ
    taps: NDArray[np.float64] = firwin(
        2 * REACH_GROUPS * DOWN * UP + 1, CUTOFF_HZ, window=("kaiser", 9.0), fs=UP * SAMPLE_HZ
    )
    return taps * UP
