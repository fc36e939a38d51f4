"""Frames that became due at once, because the event loop was late, leave one after another.

WebRTC drops a frame that comes sooner after another than the track's frame rate allows: the later,
which is the one to be seen, is never sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

LEAST_GAP_S = 0.02
MOST_WAITING = 2
"""A picture is at most so many gaps late; after a longer stall the older frames are left out."""


class FrameSpacing:
    """Passes (384, 256) uint8 frames on to `send`, LEAST_GAP_S apart or more."""

    def __init__(self, send: Callable[[np.ndarray], None]) -> None:
        self._send = send
        self._waiting: deque[np.ndarray] = deque(maxlen=MOST_WAITING)
        self._timer: asyncio.TimerHandle | None = None

    def show(self, frame: np.ndarray) -> None:
        """Send it now, or as soon as it may follow the frame before it."""
        self._waiting.append(frame)
        if self._timer is None:
            self._next()

    def _next(self) -> None:
        self._timer = None
        if self._waiting:
            self._send(self._waiting.popleft())
            self._timer = asyncio.get_running_loop().call_later(LEAST_GAP_S, self._next)
