"""A port that cannot be had is told in the words of the configuration."""

import socket
from collections.abc import Iterator

import pytest

from services.settings import Settings
from services.supervisor.ports import PortError, PortUse, check, port_uses

pytestmark = pytest.mark.unit


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_names_the_setting_to_change(taken_port: int) -> None:
    with pytest.raises(PortError) as error:
        check([PortUse("gateway", "port", taken_port)])
    assert f"TCP port {taken_port}" in str(error.value)
    assert "`port` in [gateway] of xstreamer.toml" in str(error.value)
    assert "XSTREAMER_GATEWAY_PORT" in str(error.value)


def test_every_taken_port_is_told_at_once(taken_port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        udp_port = other.getsockname()[1]
        with pytest.raises(PortError) as error:
            check(
                [
                    PortUse("gateway", "port", taken_port),
                    PortUse("livekit", "rtc_udp_port", udp_port, udp=True),
                ]
            )
    assert "XSTREAMER_GATEWAY_PORT" in str(error.value)
    assert "XSTREAMER_LIVEKIT_RTC_UDP_PORT" in str(error.value)


def test_two_settings_with_one_port_are_a_mistake() -> None:
    settings = Settings(gateway={"port": 8081})
    with pytest.raises(PortError, match=r"8081 is set twice.*gateway.*agent"):
        check(port_uses(settings))


def test_an_address_of_another_machine_is_told(taken_port: int) -> None:
    with pytest.raises(PortError, match=r"no address 203\.0\.113\.9"):
        check([PortUse("gateway", "port", taken_port, "203.0.113.9")])


def test_a_port_that_is_off_or_free_is_no_problem() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    check([PortUse("actor", "metrics_port", 0), PortUse("gateway", "port", free)])
