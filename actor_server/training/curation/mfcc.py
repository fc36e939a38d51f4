"""Mel cepstra as SyncNet was trained with: those of python_speech_features, by its own numbers.

Every 10 ms: 25 ms of sound without a window, pre-emphasis .97, 26 mel bands of 512 bins, 13 lifted
cosines of their logarithms, the first replaced by the logarithm of the energy. S samples, T times.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from actor_server.training.curation.media import Sound

RATE_HZ: Final = 16_000
WINDOW: Final = 400
STEP: Final = 160
BINS: Final = 512
BANDS: Final = 26
CEPSTRA: Final = 13
EMPHASIS: Final = 0.97
LIFTER: Final = 22
FULL_SCALE: Final = 32768.0
LEAST: Final = float(np.finfo(float).eps)


def mfcc(sound: Sound) -> NDArray[np.float32]:
    """(13, T) of (S,), -1..1, 16 kHz."""
    samples = np.round(sound.astype(np.float64) * FULL_SCALE)
    emphasised = np.append(samples[:1], samples[1:] - EMPHASIS * samples[:-1])
    times = 1 + max(0, -(-(len(emphasised) - WINDOW) // STEP))
    padded = np.zeros((times - 1) * STEP + WINDOW)
    padded[: len(emphasised)] = emphasised[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    power = np.abs(np.fft.rfft(frames, BINS)) ** 2 / BINS  # (T, 257)
    bands = np.log(np.maximum(power @ _filters().T, LEAST))
    cepstra = dct(bands, type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    cepstra[:, 0] = np.log(np.maximum(power.sum(1), LEAST))
    return np.asarray(cepstra.T, np.float32)


def _filters() -> NDArray[np.float64]:
    """Triangles (26, 257), their corners on whole bins."""
    top_mel = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    corners_hz = 700 * (10 ** (np.linspace(0, top_mel, BANDS + 2) / 2595) - 1)
    corners = np.floor((BINS + 1) * corners_hz / RATE_HZ)
    bins = np.arange(BINS // 2 + 1)
    filters = np.zeros((BANDS, len(bins)))
    for band in range(BANDS):
        low, middle, high = corners[band : band + 3]
        rising = (bins >= low) & (bins < middle)
        falling = (bins >= middle) & (bins < high)
        filters[band, rising] = (bins[rising] - low) / (middle - low)
        filters[band, falling] = (high - bins[falling]) / (high - middle)
    return filters
