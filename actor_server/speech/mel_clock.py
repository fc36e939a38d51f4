"""How many mel frames a number of audio tokens makes; counted from the start, so nothing drifts."""

from typing import Final

import numpy as np

from proto.time_law import AUDIO_TOKEN_US

SAMPLE_HZ: Final = 22_050
HOP_SAMPLES: Final = 256
"""Samples of one mel frame, 11.6 ms."""
TOKEN_SAMPLES: Final = SAMPLE_HZ * AUDIO_TOKEN_US // 1_000_000
"""Samples of one audio token, 1764: 6.89 mel frames."""


def mel_frames(tokens: int) -> int:
    """T(n): mel frames of the first `tokens` audio tokens, less than one short of their time.

    In single precision, as the model was trained: at 3392 tokens and a few more counts that is one
    frame less than the exact quotient. Source: GLM-4-Voice's decoder.
    """
    rate_hz = np.float32(1_000_000 / AUDIO_TOKEN_US)
    return int(np.float32(tokens) / rate_hz * np.float32(SAMPLE_HZ) / np.float32(HOP_SAMPLES))
