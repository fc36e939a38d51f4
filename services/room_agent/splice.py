"""Where a recording from before the call goes on in the live track: found by what both have.

A browser stops recording when it learns that it is heard. A busy one learns it late, and LiveKit's
never does when its track is taken before it has finished publishing it; until it stops, recording
and track hold the same sound.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from proto.time_law import HEARING_HZ

SPLICE_SAMPLES: Final = HEARING_HZ * 4 // 5
"""How much of the live track is looked at."""
WINDOW: Final = HEARING_HZ * 2 // 5
STEP: Final = HEARING_HZ // 10
SLACK: Final = HEARING_HZ // 2
"""How much longer than their times say recording and track may be the same."""
QUIET_RMS: Final = 100.0
"""-50 dB."""
SAME: Final = 0.8
"""Correlation of a window after two encodings: 0.9 to 0.98; of different words, below 0.7."""


@dataclass(frozen=True)
class Recorded:
    """What a browser recorded before it was heard, and maybe after."""

    pcm: NDArray[np.int16]
    """(N,) at 16 kHz."""
    heard_samples: int = 0
    """At most so many at its end came after the live track's first."""
    ended: bool = True
    """Whether the browser had stopped recording."""

    def __bool__(self) -> bool:
        return len(self.pcm) > 0

    def then(self, live: NDArray[np.int16]) -> NDArray[np.int16]:
        """(N,) s16: what came before the live track, then the track from there on."""
        found = self._same(live.astype(np.float32))
        if found is not None:
            until, since = found
        else:
            doubled = 0 if self.ended else self.heard_samples
            until, since = max(0, len(self.pcm) - doubled), 0
        return np.concatenate([self.pcm[:until], live[since:]])

    def _same(self, live: NDArray[np.float32]) -> tuple[int, int] | None:
        """One moment's place in both, where they are most alike; None when they share none.

        A track's first moments are stretched while its receiver finds the pace: later ones are
        better.
        """
        skipped = max(0, len(self.pcm) - self.heard_samples - SLACK)
        searched = self.pcm[skipped:].astype(np.float32)
        if len(searched) < WINDOW:
            return None
        power = np.convolve(searched.astype(np.float64) ** 2, np.ones(WINDOW), "valid")
        norms = np.sqrt(np.maximum(power, WINDOW * QUIET_RMS**2))
        best, places = SAME, None
        for since in range(0, len(live) - WINDOW + 1, STEP):
            window = live[since : since + WINDOW]
            norm = float(np.linalg.norm(window))
            if norm < QUIET_RMS * WINDOW**0.5:
                continue
            alike = correlate(searched, window, "valid", "fft") / (norms * norm)
            until = int(alike.argmax())
            if alike[until] > best:
                best, places = float(alike[until]), (skipped + until, since)
        return places
