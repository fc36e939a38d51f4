"""Where each text token of a reply goes: the rule of text slots.

A text token belongs to the segment in which its word starts to sound; when more than 13 start in
one segment, the rest move to the next segments in order; slots past the turn's last segment are
dropped. A part carries the tokens whose words start before the part's end.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from proto.time_law import SEGMENT_TEXT_SLOTS


@dataclass(frozen=True)
class TimedTextToken:
    """A text token, its hidden state (D,) float16, and when its word starts in the turn."""

    token_id: int
    state: np.ndarray
    start_us: int


class TextSlots:
    """Queue of the text tokens of one turn, in the order of the reply."""

    def __init__(self) -> None:
        self._waiting: deque[TimedTextToken] = deque()
        self._segment = 0
        self._filled = 0

    def add(self, token: TimedTextToken) -> None:
        """Append the reply's next token."""
        self._waiting.append(token)

    def take(self, segment: int, end_us: int) -> tuple[int, list[TimedTextToken]]:
        """Slots that a part of `segment` which ends at `end_us` adds: first slot and tokens.

        Segments must come in order. A token waits for all tokens before it.
        """
        if segment != self._segment:
            self._segment, self._filled = segment, 0
        first = segment * SEGMENT_TEXT_SLOTS + self._filled
        taken: list[TimedTextToken] = []
        while (
            self._waiting
            and self._filled < SEGMENT_TEXT_SLOTS
            and self._waiting[0].start_us < end_us
        ):
            taken.append(self._waiting.popleft())
            self._filled += 1
        return first, taken
