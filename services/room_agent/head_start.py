"""How long the first chunk of a reply waits so that those behind it come in time. Pure.

A reply plays as soon as its first chunk is there. On a machine that makes the next ones more
slowly than they are heard, while the Thinker still writes and speaks beside it, they come late: a
word is torn apart a third of a second into each reply. Said later by as much, it stays whole.
"""

from proto.messages import AVChunk
from proto.time_law import CHUNK_US

WATCHED_CHUNKS = 4
"""Behind the first; by then the Actor works with chunks ahead, or is overloaded (decision 9)."""
TOO_LITTLE_US = 10_000
MARGIN_US = 20_000
MAX_HEAD_START_US = 200_000
_RISE, _FALL = 0.5, 0.2
"""A machine that becomes busy is believed sooner than one that becomes quick."""


class HeadStart:
    """Learns from each reply of a call how far behind its first chunks came.

    `needed_us`: a chunk is in time if it comes so long before it sounds.
    """

    def __init__(self, needed_us: int) -> None:
        self._needed_us = needed_us
        self._usual_us = 0.0
        self._began_us = 0
        self._behind_us: int | None = None
        """Of the reply that is watched; None before its second chunk."""
        self._watched = WATCHED_CHUNKS

    def came(self, chunk: AVChunk, now_us: int) -> int:
        """A chunk came: for how long nothing must be played yet (us, mostly 0)."""
        if chunk.audio_tokens and chunk.first_token == 0:
            self._learn()
            self._began_us, self._behind_us, self._watched = now_us, None, 0
            wait_us = round(self._usual_us)
            return 0 if wait_us < TOO_LITTLE_US else min(wait_us + MARGIN_US, MAX_HEAD_START_US)
        if not chunk.audio_tokens:  # the voice was late or is over, not the Actor
            self._watched = WATCHED_CHUNKS
        if self._watched < WATCHED_CHUNKS:
            self._watched += 1
            due_us = self._began_us + self._watched * CHUNK_US - self._needed_us
            self._behind_us = max(self._behind_us or 0, now_us - due_us)
        return 0

    def _learn(self) -> None:
        if self._behind_us is not None:
            more_us = min(self._behind_us, MAX_HEAD_START_US) - self._usual_us
            self._usual_us += (_RISE if more_us > 0 else _FALL) * more_us
