"""When calls must save work, and when they may stop saving. Pure: it counts chunks, not seconds.

All calls of an engine share one thread. `pressure` is the thread's work per second that the calls
need: mean work of a chunk times calls per length of a chunk; at 1 the thread falls behind. The
worst chunk of each window is left out: one stall of the machine is no overload.
"""

from collections import deque
from typing import Final

from proto.time_law import CHUNK_US

WINDOW_CHUNKS: Final = 8
"""2.6 s of one call: a pause of the machine is bridged by the chunks ahead, a slow one is not."""
TOO_MUCH: Final = 0.9
CALM: Final = 0.6
"""Below this, saving less is tried."""
FIRST_PATIENCE_CHUNKS: Final = 32
MAX_PATIENCE_CHUNKS: Final = 512
"""Calm chunks before a trial: 10 s of one call; doubled by each trial that fails."""


class Relief:
    """Counts how many calls must save work: `eased`, the newest ones."""

    def __init__(self) -> None:
        self.eased = 0
        self._work_us: deque[int] = deque(maxlen=WINDOW_CHUNKS)
        self._patience = FIRST_PATIENCE_CHUNKS
        self._calm = 0
        self._since_trial = MAX_PATIENCE_CHUNKS

    def record(self, work_us: int, sessions: int) -> None:
        """One more chunk was made, with so much work, while so many calls were open."""
        self._since_trial += 1
        self.eased = min(self.eased, sessions)
        self._work_us.append(work_us)
        if len(self._work_us) < WINDOW_CHUNKS:
            return
        usual_us = (sum(self._work_us) - max(self._work_us)) / (WINDOW_CHUNKS - 1)
        pressure = usual_us / CHUNK_US * sessions
        self._calm = self._calm + 1 if pressure < CALM else 0
        if pressure > TOO_MUCH and self.eased < sessions:
            self._save_more()
        elif self.eased and self._calm >= self._patience:
            self._save_less()

    def _save_more(self) -> None:
        if self._since_trial < self._patience:
            self._patience = min(2 * self._patience, MAX_PATIENCE_CHUNKS)
        else:
            self._patience = FIRST_PATIENCE_CHUNKS
        self._change(1)

    def _save_less(self) -> None:
        self._since_trial = 0
        self._change(-1)

    def _change(self, step: int) -> None:
        """What was measured until now says nothing about the work from now on."""
        self.eased += step
        self._work_us.clear()
        self._calm = 0
