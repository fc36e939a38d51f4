"""Token buckets: so many a minute for each caller, a quarter of them at once."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gateway.errors import GatewayError

MAX_CALLERS: Final = 10_000
"""Buckets kept; the one unused for longest goes first, and was full again most likely."""


def network_of(address: str) -> str:
    """Who an address counts as: whoever has one IPv6 address has all of its /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


class RateLimit:
    """In memory: each gateway counts for itself. Touched on the event loop only."""

    def __init__(self, per_minute: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._size = max(1.0, per_minute / 4)
        self._clock_s = clock_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Raises GatewayError 429, which says when to come back."""
        now_s = self._clock_s()
        level, since_s = self._buckets.pop(caller, (self._size, now_s))
        level = min(self._size, level + (now_s - since_s) * self._per_s)
        allowed = level >= 1
        self._buckets[caller] = (level - 1 if allowed else level, now_s)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = math.ceil((1 - level) / self._per_s)
            raise GatewayError(
                429,
                "too_many_requests",
                "Too many requests",
                f"Try again in {wait_s} s.",
                retry_after_s=wait_s,
            )
