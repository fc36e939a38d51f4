"""How much audio waits in front of the speaker: the clock that playout lives by, pure.

The source plays in steady real time and lets a push return once at most `capacity_us` wait. A push
that had to wait therefore returns exactly at that level, which corrects the estimate every time.
"""

_WAITED_US = 4_000
"""A push that took longer has waited for room; others return within a millisecond."""


class QueueLevel:
    """All arguments named `now_us` are readings of one monotonic clock."""

    def __init__(self, capacity_us: int) -> None:
        self._capacity_us = capacity_us
        self._level_us = 0
        self._at_us = 0
        self._cleared_in_push = False

    def at(self, now_us: int) -> int:
        """Microseconds of audio that wait now."""
        return max(0, self._level_us - (now_us - self._at_us))

    def pushed(self, duration_us: int, now_us: int) -> int:
        """A push begins; returns how long its first sample will wait."""
        self._cleared_in_push = False
        ahead = self.at(now_us)
        self._level_us, self._at_us = ahead + duration_us, now_us
        return ahead

    def returned(self, pushed_at_us: int, now_us: int) -> None:
        """The push has returned: at most the capacity waits, exactly that if it had to wait."""
        if self._cleared_in_push:
            return
        level = self.at(now_us)
        waited = now_us - pushed_at_us > _WAITED_US
        self._level_us = self._capacity_us if waited else min(level, self._capacity_us)
        self._at_us = now_us

    def cleared(self, now_us: int) -> None:
        """The queue was emptied."""
        self._level_us, self._at_us = 0, now_us
        self._cleared_in_push = True
