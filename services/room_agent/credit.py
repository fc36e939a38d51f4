"""How many chunks the Actor may make: enough to bridge its latency, no more. Pure.

Idle: one chunk, asked for as late as its making allows, so that an idle chunk seldom stands
before the first word. Speaking: two ahead, because the engines then share the machine.
"""

SPEAKING_CHUNKS_AHEAD = 2
MIN_LEAD_US = 120_000
"""The Actor holds an idle chunk back for so long, in case that speech comes."""
MAX_LEAD_US = 300_000
"""Below a chunk: else two idle chunks would be on their way."""
FIRST_LATENCY_US = 180_000
MARGIN_US = 80_000
"""Playout fills with silence below 40 ms (its low water); the rest is for a busy machine."""
_RISE, _FALL = 0.5, 0.05
"""A machine that becomes busy is believed at once, one that becomes quick only slowly."""


class CreditLaw:
    """Grants and arrivals of one call. `ahead_us` is the media time until silence."""

    def __init__(self) -> None:
        self.outstanding = 0
        self._latency_us = float(FIRST_LATENCY_US)
        self._granted_us = 0

    @property
    def lead_us(self) -> int:
        """With less media time than this ahead, an idle chunk is asked for."""
        return round(min(MAX_LEAD_US, max(MIN_LEAD_US, self._latency_us + MARGIN_US)))

    def grant(self, chunks_ahead: int, ahead_us: int, speaking: bool, now_us: int) -> int:
        """How many chunks to grant now (mostly 0)."""
        if speaking:
            wanted = SPEAKING_CHUNKS_AHEAD - chunks_ahead - self.outstanding
        else:
            wanted = int(self.outstanding == 0 and chunks_ahead == 0 and ahead_us <= self.lead_us)
        if wanted <= 0:
            return 0
        if self.outstanding == 0:
            self._granted_us = now_us
        self.outstanding += wanted
        return wanted

    def arrived(self, now_us: int) -> None:
        """A chunk came, whatever became of it."""
        if self.outstanding == 1 and self._granted_us:
            error_us = now_us - self._granted_us - self._latency_us
            self._latency_us += (_RISE if error_us > 0 else _FALL) * error_us
        self._granted_us = now_us if self.outstanding > 1 else 0
        self.outstanding = max(0, self.outstanding - 1)

    def waiting_us(self, now_us: int) -> int:
        """How long the Actor has owed a chunk."""
        return now_us - self._granted_us if self.outstanding and self._granted_us else 0

    def reset(self) -> None:
        """The session at the Actor is new: it owes nothing."""
        self.outstanding = 0
        self._granted_us = 0
