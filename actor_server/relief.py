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
    """Counts the steps that all calls together must save: `steps`, at most `ladder` for each."""

    def __init__(self, ladder: int) -> None:
        self.steps = 0
        self._ladder = ladder
        self._sessions = 1
        self._work_us: deque[int] = deque(maxlen=WINDOW_CHUNKS)
        self._patience = FIRST_PATIENCE_CHUNKS
        self._calm = 0
        self._since_trial = MAX_PATIENCE_CHUNKS

    def record(self, work_us: int, sessions: int) -> None:
        """One more chunk was made, with so much work, while so many calls were open."""
        self._since_trial += 1
        self._count(sessions)
        self._work_us.append(work_us)
        counted = len(self._work_us) - 1
        if not counted:
            return
        spent = (sum(self._work_us) - max(self._work_us)) / CHUNK_US * sessions
        pressure = spent / counted
        full = len(self._work_us) == WINDOW_CHUNKS
        self._calm = self._calm + 1 if full and pressure < CALM else 0
        # a window that is spent before it is full need not be waited for
        if spent > TOO_MUCH * (WINDOW_CHUNKS - 1):
            self._save_more(pressure, sessions)
        elif self.steps and self._calm >= self._patience:
            self._since_trial = 0
            self._change(-1)

    def _count(self, sessions: int) -> None:
        """Calls that come or go leave the others where they are."""
        self.steps = round(self.steps * sessions / self._sessions)
        self._sessions = sessions

    def _save_more(self, pressure: float, sessions: int) -> None:
        """One step for one call while there is time; later a step or more for each, at once."""
        wanted = 1 if pressure <= 1 else sessions * round(pressure / TOO_MUCH)
        more = min(wanted, self._ladder * sessions - self.steps)
        if not more:
            return
        if self._since_trial < self._patience:
            self._patience = min(2 * self._patience, MAX_PATIENCE_CHUNKS)
        else:
            self._patience = FIRST_PATIENCE_CHUNKS
        self._change(more)

    def _change(self, steps: int) -> None:
        """What was measured until now says nothing about the work from now on."""
        self.steps += steps
        self._work_us.clear()
        self._calm = 0
