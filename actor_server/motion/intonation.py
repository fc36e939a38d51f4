"""How high a voice speaks, heard in log-mel: the ripple that its harmonics leave in the low bins.

Below 1.2 kHz the mel bins are narrower than the harmonics of most voices lie apart. What is left
when the spectrum's slow shape is taken away is compared with the same of voices of known pitch.
Shapes: H hops of 10 ms, F = H / 4 frames.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.feature_lips import HOPS_PER_FRAME
from actor_server.motion.source import Floats
from proto.speech_features import MEL_BINS, log_mel
from proto.time_law import HEARING_HZ

LOWEST_HZ: Final = 80.0
SEMITONES: Final = 26
BINS: Final = 32
"""From the lowest to 1.2 kHz."""
SHAPE_BINS: Final = 11
"""The slow shape is a mean over so many bins."""
SHARPNESS: Final = 8.0
"""How much more a better match counts in the mean over all pitches."""
TONE_SAMPLES: Final = HEARING_HZ // 5
"""Of each known voice; all of them are made in the first chunk of a process."""


def pitches(features: Floats) -> Floats:
    """(F,) octaves above LOWEST_HZ of hops (H, 80), grouped or not; without a voice, anything.

    Differences come out too small, for the mean draws towards the middle.
    """
    seen = _ripple(features.reshape(-1, MEL_BINS)[:, :BINS].astype(np.float64))
    known, octaves = _known()
    likely = np.exp(SHARPNESS * seen @ known.T)
    heard = (likely @ octaves / likely.sum(1)).reshape(-1, HOPS_PER_FRAME).mean(1)
    return np.asarray(heard, np.float32)


@cache
def _known() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ripples (SEMITONES, BINS) of equally loud harmonics, and their octaves (SEMITONES,)."""
    octaves = np.arange(SEMITONES) / 12
    at_s, dice = np.arange(TONE_SAMPLES) / HEARING_HZ, np.random.default_rng(0)
    spectra = []
    for pitch in LOWEST_HZ * 2**octaves:
        harmonics = np.arange(1, int(1300 / pitch) + 1)[:, None]
        phases = dice.uniform(0, 2 * np.pi, harmonics.shape)
        tone = np.sin(2 * np.pi * pitch * harmonics * at_s + phases).sum(0)
        spectra.append(log_mel(0.05 * tone.astype(np.float32)).mean(0)[:BINS])
    return _ripple(np.array(spectra, np.float64)), octaves


def _ripple(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spectra (N, BINS) without their slow shape, of length 1."""
    around = np.hanning(SHAPE_BINS + 2)[1:-1]
    wide = np.pad(spectra, ((0, 0), (SHAPE_BINS // 2, SHAPE_BINS // 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, SHAPE_BINS, axis=1)
    ripple = spectra - windows @ (around / around.sum())
    length = np.linalg.norm(ripple, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = ripple / np.maximum(length, 1e-9)
    return scaled
