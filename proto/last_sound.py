"""Where the caller's voice ended, from the loudness of the audio: voice activity rings on after it.

Pure. Only what lies inside voice activity counts, so a door that slams later is no voice.
"""

from typing import Final

import numpy as np

from proto.time_law import HEARING_HZ

BLOCK_SAMPLES: Final = HEARING_HZ // 100
AUDIBLE_SHARE: Final = 0.03
"""-30 dB below the loudest of the last seconds: final consonants lie above it, room echo below."""
FORGETTING: Final = 0.995
"""Of the loudest block, every 10 ms: half of it in 1.4 s."""


class LastSound:
    """`hear` takes the windows of the turn detector in order."""

    def __init__(self) -> None:
        self.at_us = 0
        """End of the last audible 10 ms, microseconds of audio."""
        self._loudest = 0.0

    def hear(self, pcm: np.ndarray, end_us: int, voiced: bool) -> None:
        """Take (N,) s16 that ends at `end_us`; `voiced`: it lies inside voice activity."""
        blocks = pcm[: len(pcm) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
        levels = np.sqrt(np.mean(blocks.astype(np.float32) ** 2, axis=1))
        start_us = end_us - len(pcm) * 1_000_000 // HEARING_HZ
        for index, level in enumerate(levels):
            self._loudest = max(float(level), self._loudest * FORGETTING)
            if voiced and level > AUDIBLE_SHARE * self._loudest > 0:
                self.at_us = start_us + (index + 1) * 10_000
