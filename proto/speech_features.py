"""The one speech-feature extractor: log-mel of final PCM, the same in training and in every preset.

Shapes: 16 kHz mono in, (frames, MEL_BINS) out; 8 frames of 10 ms make the 80 ms of an audio token.
Frame i sees the 25 ms that end at sample (i + 1) * HOP, so nothing waits for the future.
"""

from functools import cache

import numpy as np

from proto.time_law import HEARING_HZ

HOP_SAMPLES = HEARING_HZ // 100
WINDOW_SAMPLES = HEARING_HZ // 40
FFT_SAMPLES = 512
MEL_BINS = 80
TOKEN_MEL_FRAMES = 8
FLOOR = 1e-10
_OVERLAP = WINDOW_SAMPLES - HOP_SAMPLES


def _hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    log_part = 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * (27.0 / np.log(6.4))
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, log_part)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(
        mel < 15.0,
        mel * 200.0 / 3.0,
        1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0),
    )


@cache
def mel_filters() -> np.ndarray:
    """Triangular filters with unit area, (FFT bins, MEL_BINS) float32 (Slaney)."""
    top = _hz_to_mel(HEARING_HZ / 2)
    edges = _mel_to_hz(np.linspace(0.0, float(top), MEL_BINS + 2))
    bins = np.linspace(0.0, HEARING_HZ / 2, FFT_SAMPLES // 2 + 1)
    slopes = edges[None, :] - bins[:, None]
    widths = np.diff(edges)
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    triangles: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    unit_area: np.ndarray = triangles * (2.0 / (edges[2:] - edges[:-2]))
    return unit_area.astype(np.float32)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(log10 mel power + 4) / 4 of float samples in [-1, 1]; len = OVERLAP + frames * HOP."""
    frames = (len(samples) - _OVERLAP) // HOP_SAMPLES
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(windows[:frames] * _hann(), FFT_SAMPLES)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel: np.ndarray = np.maximum(power @ mel_filters(), FLOOR)
    logarithm: np.ndarray = np.log10(mel)
    return (logarithm + 4.0) / 4.0


@cache
def _hann() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)).astype(
        np.float32
    )


class SpeechFeatures:
    """Streaming extractor: the same frames come out however the samples are cut."""

    def __init__(self) -> None:
        self._pending = np.zeros(_OVERLAP, np.float32)

    def push(self, pcm: np.ndarray) -> np.ndarray:
        """Features of all frames completed by s16 `pcm` (N,); (frames, MEL_BINS) float32."""
        samples = np.concatenate([self._pending, pcm.astype(np.float32) / 32768.0])
        frames = (len(samples) - _OVERLAP) // HOP_SAMPLES
        self._pending = samples[frames * HOP_SAMPLES :]
        if frames == 0:
            return np.zeros((0, MEL_BINS), np.float32)
        return log_mel(samples)


def token_features(features: np.ndarray) -> np.ndarray:
    """Frames (T * 8, MEL_BINS) grouped by audio token: (T, 8, MEL_BINS) float16 for the wire."""
    return features.reshape(-1, TOKEN_MEL_FRAMES, MEL_BINS).astype(np.float16)
