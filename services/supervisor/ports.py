"""Ports are tried before anything starts, so that a taken one is told in the user's terms."""

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from services.settings import Settings


class PortError(Exception):
    """Ports that cannot be had; the text names the settings to change."""


@dataclass(frozen=True)
class PortUse:
    """One port that a process is going to listen on. `table` and `key` name its setting."""

    table: str
    key: str
    port: int
    host: str = "127.0.0.1"
    udp: bool = False

    @property
    def setting(self) -> str:
        """Both ways to change it."""
        return f"`{self.key}` in [{self.table}] of xstreamer.toml (or {self.variable}=<port>)"

    @property
    def variable(self) -> str:
        """The environment's way to change it."""
        return f"XSTREAMER_{self.table}_{self.key}".upper()


def port_uses(settings: Settings) -> list[PortUse]:
    """Every port that a machine of these settings listens on."""
    livekit, gateway = settings.livekit, settings.gateway
    uses = [
        PortUse("gateway", "port", gateway.port, gateway.host),
        PortUse("livekit", "port", livekit.port, livekit.host),
        PortUse("livekit", "rtc_tcp_port", livekit.rtc_tcp_port),
        PortUse("livekit", "rtc_udp_port", livekit.rtc_udp_port, udp=True),
        PortUse("livekit", "turn_udp_port", livekit.turn_udp_port, udp=True),
        PortUse("livekit", "turn_tls_port", livekit.turn_tls_port),
        PortUse("livekit", "metrics_port", livekit.metrics_port),
        PortUse("thinker", "metrics_port", settings.thinker.metrics_port),
        PortUse("actor", "metrics_port", settings.actor.metrics_port),
        PortUse("agent", "health_port", settings.agent.health_port),
    ]
    return [use for use in uses if use.table in settings.only]


def check(uses: Iterable[PortUse]) -> None:
    """Raises PortError when two settings agree on a port or somebody else holds one."""
    wanted = [use for use in uses if use.port]
    problems = [*_clashes(wanted), *(problem for use in wanted if (problem := _problem(use)))]
    if problems:
        raise PortError("\n".join(problems))


def _clashes(uses: list[PortUse]) -> Iterable[str]:
    seen: dict[tuple[int, bool], PortUse] = {}
    for use in uses:
        first = seen.setdefault((use.port, use.udp), use)
        if first is not use:
            yield (
                f"port {use.port} is set twice: for [{first.table}] {first.key} and for "
                f"[{use.table}] {use.key}. Change {use.setting}."
            )


def _problem(use: PortUse) -> str | None:
    family = socket.AF_INET6 if ":" in use.host else socket.AF_INET
    kind = socket.SOCK_DGRAM if use.udp else socket.SOCK_STREAM
    with socket.socket(family, kind) as probe:
        if not use.udp:  # as servers do: a closed server's lingering connections do not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((use.host, use.port))
        except OSError as error:
            return _explain(use, error)
    return None


def _explain(use: PortUse, error: OSError) -> str:
    where = f"{'UDP' if use.udp else 'TCP'} port {use.port} on {use.host}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is taken by another program. Stop that, or change {use.setting}."
        case errno.EACCES:
            return f"{where} is reserved for root. Choose one above 1023: {use.setting}."
        case errno.EADDRNOTAVAIL:
            return f"this machine has no address {use.host}. Change `host` in [{use.table}]."
        case _:
            return f"{where} cannot be used ({error.strerror}). Change {use.setting}."
