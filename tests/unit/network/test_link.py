"""The bad network of the network tests does what its weather says, and the same each time."""

import struct
from typing import Any

import pytest

from tests.integration.network.link import TCP, UDP, Direction, Weather, server_port

pytestmark = pytest.mark.unit


def packet(protocol: int, source: int, destination: int, options: int = 0) -> bytes:
    """An IPv4 packet of 20 bytes of header, options, and the two ports."""
    header = bytearray(20 + 4 * options)
    header[0] = 0x40 | (5 + options)
    header[9] = protocol
    return bytes(header) + struct.pack("!HH", source, destination)


MEDIA = packet(UDP, 50_000, 7882)


def fates(seed: str, weather: Weather, count: int = 20_000) -> list[float | None]:
    direction = Direction(seed, to_server=True, weather=weather)
    return [direction.deliver_at(MEDIA, float(index)) for index in range(count)]


def test_the_seed_decides_which_packets_are_lost() -> None:
    weather = Weather(loss=0.05)
    assert fates("1", weather) == fates("1", weather) != fates("2", weather)
    lost = sum(fate is None for fate in fates("1", weather))
    assert lost / 20_000 == pytest.approx(0.05, abs=0.005)


def test_good_weather_loses_and_delays_nothing() -> None:
    assert fates("1", Weather(), 100) == [float(index) for index in range(100)]


def test_delayed_packets_never_overtake_each_other() -> None:
    direction = Direction("1", to_server=True, weather=Weather(delay_s=0.1))
    assert direction.deliver_at(MEDIA, 1.0) == pytest.approx(1.1)
    direction.weather = Weather()
    assert direction.deliver_at(MEDIA, 1.01) == pytest.approx(1.1)
    assert direction.deliver_at(MEDIA, 2.0) == 2.0


def test_an_outage_takes_everything_and_does_not_shift_later_luck() -> None:
    direction = Direction("1", to_server=True, weather=Weather(loss=0.05))
    undisturbed = fates("1", Weather(loss=0.05), 300)
    seen = []
    for index in range(300):
        direction.weather = Weather(loss=0.05, down=100 <= index < 200)
        seen.append(direction.deliver_at(MEDIA, float(index)))
    assert seen[100:200] == [None] * 100
    assert seen[:100] + seen[200:] == undisturbed[:100] + undisturbed[200:]
    assert direction.dropped["down"] == 100


def test_a_firewall_shuts_the_servers_ports_both_ways_and_no_others() -> None:
    weather = Weather(shut=("udp/7882", "tcp/7881"))
    up = Direction("1", to_server=True, weather=weather)
    down = Direction("1", to_server=False, weather=weather)
    assert up.deliver_at(packet(UDP, 50_000, 7882), 0.0) is None
    assert down.deliver_at(packet(TCP, 7881, 50_000, options=2), 0.0) is None
    assert up.deliver_at(packet(TCP, 50_000, 7882), 0.0) == 0.0
    assert down.deliver_at(packet(UDP, 50_000, 7882), 0.0) == 0.0
    assert up.passed == {"tcp/7882": 24}


@pytest.mark.parametrize(
    ("raw", "port"),
    [
        (b"", "other"),
        (b"\x60" + bytes(39), "other"),
        (packet(1, 0, 0), "ip/1"),
        (MEDIA[:22], "ip/17"),
    ],
)
def test_packets_without_ports_are_named_too(raw: bytes, port: str) -> None:
    assert server_port(raw, to_server=True) == port


@pytest.mark.parametrize("mistake", [{"loss": 1.0}, {"loss": -0.1}, {"delay_s": -1.0}])
def test_weather_that_cannot_be_is_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot be"):
        Weather(**mistake)
