"""Where the engines listen when nobody says otherwise: one host, addresses that need no file."""

import ipaddress

THINKER_ENDPOINT = "tcp://127.0.0.1:7601"
ACTOR_ENDPOINT = "tcp://127.0.0.1:7602"


def is_loopback(host: str) -> bool:
    """Only this machine can reach it. Names other than localhost may be anybody's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
