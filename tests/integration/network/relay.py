"""Two network namespaces joined by a bad network: test equipment.

Each namespace has a TUN device, and this relay carries IP packets from the one to the other. That
is the simplest honest design: below IP everything is impaired alike, signalling, UDP, ICE/TCP and
TURN; no program under test knows of it; a firewall is a packet that does not pass; and a caller who
moves really gets another address. A relay of UDP and TCP streams could do none of the last three,
and would hide loss from TCP.

The namespaces are made with `unshare`, which needs no root where user namespaces are allowed, and
vanish with their processes.
"""

import asyncio
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from tests.integration.network.link import Direction, Weather

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
DEVICE = "bad0"
MTU = 1500
NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]
BURST_PACKETS = 64
SERVER = "10.77.0.1"
CALLER, CALLER_ELSEWHERE = "10.77.1.2", "10.77.2.2"


def why_not() -> str:
    """Why this machine cannot make namespaces with TUN devices; empty if it can."""
    for program in ("unshare", "ip", "ss"):
        if shutil.which(program) is None:
            return f"there is no program `{program}` (Debian: util-linux, iproute2)"
    probe = [*NAMESPACE, "ip", "tuntap", "add", "dev", DEVICE, "mode", "tun"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no network namespace with a TUN device can be made here: {done.stderr.strip()}"
    return ""


def open_tun(address: str) -> int:
    """Make this namespace's device, with an address and the way to everybody else."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    ip("link", "set", "lo", "up")
    ip("link", "set", DEVICE, "mtu", str(MTU), "up")
    ip("addr", "add", f"{address}/32", "dev", DEVICE)
    ip("route", "add", "default", "dev", DEVICE)
    return tun


def move(before: str, after: str) -> None:
    """Give this namespace another address, as a phone that leaves the house gets one.

    Its TCP connections are told so, as phones and browsers tell them; else they would be silent.
    """
    ip("addr", "add", f"{after}/32", "dev", DEVICE)
    ip("addr", "del", f"{before}/32", "dev", DEVICE)
    subprocess.run(["ss", "-K", "-t", "src", before], check=True, stdout=subprocess.DEVNULL)


def ip(*arguments: str) -> None:
    """Run iproute2's ip in this namespace."""
    subprocess.run(["ip", *arguments], check=True)


class Relay:
    """Carries packets between two TUN devices while it is `carrying`."""

    def __init__(self, seed: int) -> None:
        self.up = Direction(f"{seed} up", to_server=True)
        self.down = Direction(f"{seed} down", to_server=False)
        self.late_ms: list[float] = []
        """How much later than decided packets left: this equipment's own error."""

    def set(self, weather: Weather) -> None:
        """From the next packet on. What is on its way arrives."""
        self.up.weather = self.down.weather = weather

    def report(self) -> dict[str, Any]:
        """What passed and what did not, in both directions."""
        late = sorted(self.late_ms) or [0.0]
        return {
            "passed_bytes": dict(self.up.passed + self.down.passed),
            "dropped_packets": dict(self.up.dropped + self.down.dropped),
            "late_ms_p99": round(late[int(0.99 * (len(late) - 1))], 1),
        }

    @contextmanager
    def carrying(self, caller_tun: int, server_tun: int) -> Iterator[None]:
        """Carry both ways, on the running loop."""
        loop = asyncio.get_running_loop()
        _Lane(loop, self.up, caller_tun, server_tun, self.late_ms)
        _Lane(loop, self.down, server_tun, caller_tun, self.late_ms)
        try:
            yield
        finally:
            loop.remove_reader(caller_tun)
            loop.remove_reader(server_tun)

    async def obey(self, control: socket.socket) -> None:
        """Take the caller's wishes, a weather each, and answer each with a report."""
        loop = asyncio.get_running_loop()
        while wish := await loop.sock_recv(control, 4096):
            self.set(Weather(**json.loads(wish)))
            await loop.sock_sendall(control, json.dumps(self.report()).encode())


class _Lane:
    """The packets of one direction that are on their way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        direction: Direction,
        source: int,
        target: int,
        late_ms: list[float],
    ) -> None:
        self._loop = loop
        self._direction = direction
        self._source, self._target = source, target
        self._late_ms = late_ms
        self._flying: deque[tuple[float, bytes]] = deque()
        loop.add_reader(source, self._take)

    def _take(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(BURST_PACKETS):
                packet = os.read(self._source, MTU)
                at_s = self._direction.deliver_at(packet, self._loop.time())
                if at_s is None:
                    continue
                self._flying.append((at_s, packet))
                if len(self._flying) == 1:
                    self._loop.call_at(at_s, self._land)

    def _land(self) -> None:
        now_s = self._loop.time()
        while self._flying and self._flying[0][0] <= now_s:
            at_s, packet = self._flying.popleft()
            self._late_ms.append((now_s - at_s) * 1000)
            with suppress(OSError):  # the caller's end is gone, or has no such address any more
                os.write(self._target, packet)
        if self._flying:
            self._loop.call_at(self._flying[0][0], self._land)


class CallerEnd:
    """The caller's end of the control line, inside the caller's namespace."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._tun = open_tun(CALLER)
        socket.send_fds(control, [b"tun"], [self._tun])
        control.setblocking(False)

    async def set(self, weather: Weather) -> dict[str, Any]:
        """Change the network; returns what has passed so far."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._control, json.dumps(asdict(weather)).encode())
        report: dict[str, Any] = json.loads(await loop.sock_recv(self._control, 65_536))
        return report
