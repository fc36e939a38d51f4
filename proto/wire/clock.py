"""The clock of trace stamps: CLOCK_MONOTONIC in microseconds plus the host that it belongs to."""

import time
from functools import cache
from pathlib import Path
from typing import TypeVar

from proto.message import Message

M = TypeVar("M", bound=Message)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_us() -> int:
    """Microseconds on this host's monotonic clock."""
    return time.monotonic_ns() // 1000


@cache
def host() -> str:
    """Names this boot of this machine: stamps with the same host can be subtracted."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "unknown"


def stamped(message: M, name: str) -> M:
    """The message with the moment `name` = now added to its trace."""
    return message.stamped(name, now_us(), host())
