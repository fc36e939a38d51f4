"""The face while the Actor is away: its last quiet frames forth and back. Pure.

A call must not stand still because a process died. The agent holds no model and no portrait; what
it has is what it showed. `docs/decisions/0008-calls-that-do-not-die.md` has the alternatives.
"""

from collections import deque

import numpy as np

KEPT_FRAMES = 100
"""4 s, 10 MB a call."""
ENOUGH_FRAMES = 25
"""Fewer, forth and back, would twitch: frames from before the last speech are better."""
PATIENCE_FRAMES = 8
"""A gap up to a chunk long is a late chunk: the frame before it stays."""
BLEND_FRAMES = 6
"""From one face to the other; a jump would be seen."""


class StandIn:
    """Every frame of the call passes through here: those of the Actor, and those instead."""

    def __init__(self) -> None:
        self._kept: deque[np.ndarray] = deque(maxlen=KEPT_FRAMES)
        self._newest = self._kept
        """Since the last speech: between these and the ones before it lies a jump."""
        self._shown: np.ndarray | None = None
        self._missing = 0
        self._blend = 0
        self._spoke = False

    def real(self, frame: np.ndarray, *, quiet: bool) -> np.ndarray:
        """A frame that the Actor made; `quiet`: nothing is said in it. Returns what to show."""
        if self._missing > PATIENCE_FRAMES:
            self._blend = BLEND_FRAMES
        self._missing = 0
        if quiet and self._spoke:
            self._newest = deque(maxlen=KEPT_FRAMES)
        if quiet:
            self._newest.append(frame)
        if len(self._newest) >= min(ENOUGH_FRAMES, len(self._kept)):
            self._kept = self._newest
        self._spoke = not quiet
        return self._towards(frame)

    def missing(self) -> np.ndarray | None:
        """What to show because no frame came; None before the first one ever."""
        self._missing += 1
        if self._missing <= PATIENCE_FRAMES or len(self._kept) < 2:
            return self._shown
        if self._missing == PATIENCE_FRAMES + 1:
            self._blend = BLEND_FRAMES
        return self._towards(self._kept[_bounce(self._missing - PATIENCE_FRAMES, len(self._kept))])

    def _towards(self, frame: np.ndarray) -> np.ndarray:
        if self._blend and self._shown is not None:
            step = (frame.astype(np.int16) - self._shown) // self._blend
            frame = (self._shown + step).astype(np.uint8)
            self._blend -= 1
        self._shown = frame
        return frame


def _bounce(steps: int, count: int) -> int:
    """Index of the frame so many steps back from the newest, turning round at both ends."""
    place = steps % (2 * count - 2)
    back = min(place, 2 * count - 2 - place)
    return count - 1 - back
