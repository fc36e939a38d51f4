"""Log-mel features of the speech tokenizer, before and after their normalisation.

Shapes: N samples at 16 kHz, T frames of 10 ms, 128 mel bins.
Source: OpenAI Whisper's front end with 128 bins.
"""

from functools import cache

import numpy as np
import torch
from torch import nn

from proto.time_law import HEARING_HZ

HOP_SAMPLES = 160
WINDOW_SAMPLES = 400
MEL_BINS = 128
RANGE_DECADES = 8.0
"""What lies further than this below the loudest value of a segment is lifted to there."""
_LEAST_POWER = 1e-10
_HALF = WINDOW_SAMPLES // 2
_LINEAR_MELS_PER_HZ = 3 / 200
_LOG_FROM_HZ, _LOG_FROM_MEL = 1000.0, 15.0
_LOG_MELS = 27 / np.log(6.4)


def log_power(signal: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """log10 mel power of frames first..last-1 of a padded signal (N,): (128, T).

    Frame i is centred on sample 160 i; the signal is mirrored at both ends. Not yet normalised.
    """
    extended = nn.functional.pad(signal[None], (_HALF, _HALF), mode="reflect")[0]
    start = first * HOP_SAMPLES
    stop = (last - 1) * HOP_SAMPLES + WINDOW_SAMPLES
    frames = extended[start:stop].unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)  # (T, 400)
    window = torch.hann_window(WINDOW_SAMPLES, device=signal.device)
    power = torch.fft.rfft(frames * window).abs().square()  # (T, 201)
    mel: torch.Tensor = power @ mel_filters().to(signal.device)
    return mel.clamp(min=_LEAST_POWER).log10().T


def normalised(log_mel: torch.Tensor, peak: torch.Tensor) -> torch.Tensor:
    """Features from log power (..., 128, T); `peak` is the largest value of the whole segment."""
    return (torch.maximum(log_mel, peak - RANGE_DECADES) + 4.0) / 4.0


@cache
def mel_filters() -> torch.Tensor:
    """Slaney's triangles, each of area one: (201, 128)."""
    bins_hz = np.linspace(0, HEARING_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    edges_hz = _hz_of(np.linspace(0, _mel_of(HEARING_HZ / 2), MEL_BINS + 2))
    widths = np.diff(edges_hz)
    slopes = edges_hz[None, :] - bins_hz[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges_hz[2:] - edges_hz[:-2])
    return torch.from_numpy(triangles.astype(np.float32))


def _mel_of(hz: float) -> float:
    return float(_LOG_FROM_MEL + _LOG_MELS * np.log(hz / _LOG_FROM_HZ))


def _hz_of(mel: np.ndarray) -> np.ndarray:
    logarithmic = _LOG_FROM_HZ * np.exp((mel - _LOG_FROM_MEL) / _LOG_MELS)
    return np.where(mel < _LOG_FROM_MEL, mel / _LINEAR_MELS_PER_HZ, logarithmic)
