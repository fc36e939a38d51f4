"""What a bad network does to each packet: decided from a seed, without sockets or clocks."""

import random
import struct
from collections import Counter
from dataclasses import dataclass, field

TCP, UDP = 6, 17
NAMES = {TCP: "tcp", UDP: "udp"}


@dataclass(frozen=True)
class Weather:
    """How the network is now; the same in both directions."""

    loss: float = 0.0
    """Share of packets that vanish, each by a throw of its own."""
    delay_s: float = 0.0
    """One way."""
    down: bool = False
    """Nothing passes."""
    shut: tuple[str, ...] = ()
    """Ports of the server that a firewall shuts, such as "udp/7882"."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise ValueError(f"loss is {self.loss}, but must be at least 0 and below 1")
        if self.delay_s < 0:
            raise ValueError(f"delay_s is {self.delay_s}, but cannot be negative")


@dataclass
class Direction:
    """One way through the network. The same seed and weather lose the same packets."""

    seed: str
    to_server: bool
    weather: Weather = Weather()
    passed: Counter[str] = field(default_factory=Counter)
    """Bytes by the server's port, such as "udp/7882"."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Packets by why: "loss", "down", "shut"."""
    _dice: random.Random = field(init=False)
    _last_s: float = 0.0

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def deliver_at(self, packet: bytes, now_s: float) -> float | None:
        """When this packet arrives; None: never. Packets never overtake each other."""
        port = server_port(packet, self.to_server)
        unlucky = self._dice.random() < self.weather.loss
        why = (
            ("down" if self.weather.down else "")
            or ("shut" if port in self.weather.shut else "")
            or ("loss" if unlucky else "")
        )
        if why:
            self.dropped[why] += 1
            return None
        self.passed[port] += len(packet)
        self._last_s = max(self._last_s, now_s + self.weather.delay_s)
        return self._last_s


def server_port(packet: bytes, to_server: bool) -> str:
    """The server's side of an IPv4 packet, such as "tcp/7881"; the protocol where it has no ports.

    Source: RFC 791 section 3.1; TCP and UDP both begin with source and destination port.
    """
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return "other"
    protocol = packet[9]
    header = (packet[0] & 0x0F) * 4
    if protocol not in NAMES or len(packet) < header + 4:
        return f"ip/{protocol}"
    source, destination = struct.unpack_from("!HH", packet, header)
    return f"{NAMES[protocol]}/{destination if to_server else source}"
