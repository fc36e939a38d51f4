"""The clock of a call: the event loop's. On a real loop it is the host's monotonic clock, the one
of trace stamps; on a virtual loop the whole call is virtual."""

import asyncio


def call_us() -> int:
    """Microseconds now. Only inside a running loop."""
    return round(asyncio.get_running_loop().time() * 1e6)
