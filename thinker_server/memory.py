"""Memory that was freed, given back to the system.

glibc keeps what it once got: clauses and conversations of every length, one after the other, leave
holes that grow for hours, some 60 MB in the first one (`make soak`).
"""

import ctypes
from collections.abc import Callable

_TRIM: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc has it."""


def give_back() -> None:
    """Some 20 ms in which nothing of this process can allocate; nothing elsewhere."""
    if _TRIM is not None:
        _TRIM(0)
