"""Speech at 24 kHz to the 16 kHz of the speech features, the same however the speech is cut.

In numpy alone: scipy.signal takes long to import, for one filter.
"""

from functools import cache

import numpy as np

from proto.time_law import HEARING_HZ, SPEECH_HZ

UP, DOWN = 2, 3
TAPS = 96
"""Low-pass at the in-between rate of 48 kHz; causal, it delays by 1 ms, in training as in calls."""
CUTOFF_HZ = 7_600.0
HISTORY_SAMPLES = TAPS // UP
"""Input samples that a filter output can see; a multiple of DOWN, so that outputs stay in step."""
FIRST = HISTORY_SAMPLES * UP - (TAPS - 1)
"""Of the outputs that see the whole filter, the one at the first new sample."""


class FeatureResampler:
    """Stateful resampler of s16 PCM, 24 kHz -> 16 kHz."""

    def __init__(self) -> None:
        self._history = np.zeros(HISTORY_SAMPLES, np.float64)
        self._pending = np.zeros(0, np.int16)

    def push(self, pcm: np.ndarray) -> np.ndarray:
        """All samples at 16 kHz (M,) int16 that the samples so far decide, 2 for every 3."""
        samples = np.concatenate([self._pending, pcm])
        whole = len(samples) // DOWN * DOWN
        self._pending = samples[whole:]
        if whole == 0:
            return np.zeros(0, np.int16)
        block = np.concatenate([self._history, samples[:whole].astype(np.float64)])
        self._history = block[-HISTORY_SAMPLES:]
        stuffed = np.zeros(UP * len(block))
        stuffed[::UP] = block
        filtered = np.convolve(stuffed, _low_pass(), "valid")[FIRST::DOWN]
        heard: np.ndarray = np.clip(np.rint(filtered), -32768, 32767).astype(np.int16)
        return heard


@cache
def _low_pass() -> np.ndarray:
    """Windowed sinc at UP * SPEECH_HZ = DOWN * HEARING_HZ; its gain makes up for inserted zeros."""
    assert UP * SPEECH_HZ == DOWN * HEARING_HZ
    at = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.hamming(TAPS) * np.sinc(2 * CUTOFF_HZ / (UP * SPEECH_HZ) * at)
    scaled: np.ndarray = UP * taps / taps.sum()
    return scaled
