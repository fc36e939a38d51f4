"""People who wait for a place: first come, first served. Pure; times are seconds, monotonic."""

import secrets
from dataclasses import dataclass
from typing import Final

PATIENCE_S: Final = 15.0
"""Whoever does not ask again for this long has gone."""
MAX_WAITING: Final = 200


@dataclass(frozen=True)
class Standing:
    """Where somebody stands: 0 is in. Without a ticket the line itself is full."""

    position: int
    ticket: str | None = None
    new: bool = False


class WaitingLine:
    """Tickets in the order in which they were given out."""

    def __init__(self) -> None:
        self._asked_s: dict[str, float] = {}

    def length(self, now_s: float) -> int:
        """Those who still wait."""
        for ticket, asked_s in list(self._asked_s.items()):
            if now_s - asked_s > PATIENCE_S:
                del self._asked_s[ticket]
        return len(self._asked_s)

    def holds(self, ticket: str, now_s: float) -> bool:
        """Whether it still is a ticket of this line."""
        return self.length(now_s) > 0 and ticket in self._asked_s

    def ask(self, ticket: str | None, free: int, now_s: float) -> Standing:
        """Come in, if no more than `free` stand before one and oneself; else wait, or go on."""
        length = self.length(now_s)
        known = ticket if ticket in self._asked_s else None
        position = length + 1 if known is None else list(self._asked_s).index(known) + 1
        if position <= free:
            if known is not None:
                del self._asked_s[known]
            return Standing(0)
        if known is None:
            if length >= MAX_WAITING:
                return Standing(position, new=True)
            self._asked_s[known := secrets.token_urlsafe(12)] = now_s
            return Standing(position, known, new=True)
        self._asked_s[known] = now_s
        return Standing(position, known)

    def give_back(self, ticket: str, now_s: float) -> None:
        """Whose turn it was, and who did not get in, comes next."""
        self._asked_s = {ticket: now_s, **self._asked_s}

    def leave(self, ticket: str) -> None:
        """Give the place in the line up."""
        self._asked_s.pop(ticket, None)
