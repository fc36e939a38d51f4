"""`python -m services.ready ADDRESS`: is the process there ready? Status 0 or 1, for health checks.

ADDRESS is a URL (http) or the ZeroMQ address of an engine (ipc, or tcp on this host).
"""

import asyncio
import sys
import urllib.request
from collections.abc import Sequence

TIMEOUT_S = 5.0


def reason_not_ready(address: str) -> str | None:
    """None when ready. Raises ValueError for what is no address."""
    match address.partition("://")[0]:
        case "http":
            return _http(address)
        case "ipc" | "tcp":
            return _engine(address)
    raise ValueError(f"{address} is no address: write http://host:port/path or ipc:///path")


def _http(url: str) -> str | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(url, timeout=TIMEOUT_S).close()
    except OSError as error:
        return str(error)
    return None


def _engine(endpoint: str) -> str | None:
    # Imported here: a check of a URL costs a tenth of a second, with this half a second more.
    from services.supervisor.readiness import EngineProbe

    return asyncio.run(EngineProbe(endpoint).reason_not_ready())


def main(arguments: Sequence[str]) -> int:
    """0 when ready; else the reason goes to stderr."""
    if len(arguments) != 1:
        reason: str | None = "usage: python -m services.ready ADDRESS"
    else:
        try:
            reason = reason_not_ready(arguments[0])
        except ValueError as error:
            reason = str(error)
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return int(reason is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
