"""Where a recording from before the call goes on in the live track: found by what both have.

A browser stops recording when it learns that it is heard, or a little later (our page does), or not
at all: LiveKit's never learns it when its track is taken before it has finished publishing it.
Until it stops, recording and track hold the same sound.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from proto.time_law import HEARING_HZ

WINDOW: Final = HEARING_HZ // 5
STEP: Final = HEARING_HZ // 20
SLACK: Final = HEARING_HZ * 3 // 10
"""How far the times at which both came may be wrong."""
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

    @property
    def wanted_samples(self) -> int:
        """How much of the live track's beginning `then` should see."""
        return max(self.heard_samples, SLACK) + WINDOW

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
        """The last moment's place in both; None when they share none.

        The last one, for a track's first moments are stretched while its receiver finds the pace.
        """
        began = len(self.pcm) - self.heard_samples
        for since in range(len(live) - WINDOW, -1, -STEP):
            first = max(0, began + since - SLACK)
            last = len(self.pcm) if self.ended else began + since + WINDOW + SLACK
            searched = self.pcm[first:last].astype(np.float32)
            if len(searched) < WINDOW:
                continue
            alike = _alike(searched, live[since : since + WINDOW])
            at = int(alike.argmax())
            if alike[at] > SAME:
                return first + at, since
        return None


def _alike(sound: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlation of a window with the sound at each of its places; quiet is like nothing."""
    energy = np.cumsum(np.concatenate([[0.0], sound.astype(np.float64) ** 2]))
    power = energy[len(window) :] - energy[: -len(window)]
    quiet = len(window) * QUIET_RMS**2
    norms = np.sqrt(np.maximum(power, quiet) * max(float(window @ window), quiet))
    return np.asarray(correlate(sound, window, "valid", "fft") / norms, np.float32)
