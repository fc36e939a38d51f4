"""A disk that takes nothing more does not end what runs."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class DiskTroubles:
    """Says once what cannot be written, until it can be again."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        self._known: set[str] = set()

    @contextmanager
    def survived(self, attempt: str) -> Iterator[None]:
        """An OSError ends the attempt, and nothing else."""
        try:
            yield
        except OSError as error:
            if attempt not in self._known:
                self._known.add(attempt)
                fields = {"attempt": attempt, "reason": str(error)}
                log.error("the disk refuses; what runs goes on", extra=fields)
                self._say("disk", f"refuses to {attempt}: {error}. What runs goes on")
        else:
            self._known.discard(attempt)
