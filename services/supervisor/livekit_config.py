"""The LiveKit server's configuration for one machine, without any other machine's help.

The file is YAML to LiveKit; JSON is a subset of YAML, so nothing more than `json` is needed.
"""

import ipaddress
import json
import socket
from typing import Any
from urllib.parse import unquote, urlsplit

from services.settings import GatewayTable, LiveKitTable
from services.supervisor.credentials import LiveKitKey

LOOPBACK = "127.0.0.1"
REDIS_PORT = 6379
NO_STUN_SERVER = "127.0.0.1:3478"
"""Media stays in the local network: naming a server that is not there keeps public ones out."""
EVERY_ADDRESS = {"0.0.0.0", "::"}
DOCUMENTATION_ADDRESS = "192.0.2.1"
"""RFC 5737: routed like any foreign address, and nothing is sent to it here."""


def livekit_config(
    livekit: LiveKitTable, gateway: GatewayTable, key: LiveKitKey, *, tls: bool = False
) -> str:
    """The text of livekit.yaml. Signalling stays on loopback unless other machines need it: the
    gateway proxies it to browsers.

    Webhooks tell the gateway who came and went. They need a certificate that LiveKit trusts, so
    under `tls` they are off and the gateway's watchdog asks once a second instead.
    """
    node_ip = node_address(livekit, gateway)
    rtc: dict[str, Any] = {
        "tcp_port": livekit.rtc_tcp_port,
        "udp_port": livekit.rtc_udp_port,
        "use_external_ip": False,
        "node_ip": node_ip,
        "stun_servers": [NO_STUN_SERVER],
        **_listening(node_ip),
    }
    config: dict[str, Any] = {
        "port": livekit.port,
        "bind_addresses": _bind_addresses(livekit.host),
        "rtc": rtc,
        "room": {"sync_streams": True},  # without it browsers do no lip-sync
        "keys": {key.api_key: key.api_secret},
        "logging": {"level": "info", "json": True},
    }
    if not tls:
        host = LOOPBACK if gateway.host in EVERY_ADDRESS else gateway.host
        url = f"http://{host}:{gateway.port}/api/livekit/webhook"
        config["webhook"] = {"api_key": key.api_key, "urls": [url]}
    if livekit.redis:
        config["redis"] = _redis(livekit.redis)
    if livekit.metrics_port:
        config["prometheus"] = {"port": livekit.metrics_port}
    if livekit.turn:
        config["turn"] = _turn(livekit, node_ip)
    return json.dumps(config, indent=2)


def _bind_addresses(host: str) -> list[str]:
    """Loopback stays: the supervisor asks there whether the server is up."""
    return [host] if host in EVERY_ADDRESS else sorted({LOOPBACK, host})


def _redis(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    config: dict[str, Any] = {"address": f"{parts.hostname}:{parts.port or REDIS_PORT}"}
    if parts.username:
        config["username"] = unquote(parts.username)
    if parts.password:
        config["password"] = unquote(parts.password)
    if database := parts.path.strip("/"):
        config["db"] = int(database)
    return config


def _listening(node_ip: str) -> dict[str, Any]:
    """On which of this machine's addresses media are awaited: only on the one that is announced.

    LiveKit announces every address as `node_ip` and uses one of those that then look the same; with
    loopback among them it took that, and no caller from elsewhere was ever answered.
    """
    address = ipaddress.ip_address(node_ip)
    if address.is_loopback:
        return {"enable_loopback_candidate": True, "interfaces": {"includes": ["lo"]}}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((node_ip, 0))
        except OSError:
            return {}  # a router's address, in front of this machine
    return {"ips": {"includes": [f"{node_ip}/{address.max_prefixlen}"]}}


def _turn(livekit: LiveKitTable, node_ip: str) -> dict[str, Any]:
    """LiveKit's own TURN server, which carries packets to this LiveKit server and nowhere else."""
    turn: dict[str, Any] = {"enabled": True}
    address = ipaddress.ip_address(node_ip)
    if address.is_private or address.is_loopback:  # refused unless named
        turn["allow_restricted_peer_cidrs"] = [f"{node_ip}/{address.max_prefixlen}"]
    if livekit.turn_udp_port:
        turn["udp_port"] = livekit.turn_udp_port
    if livekit.turn_tls_port:
        turn |= {
            "tls_port": livekit.turn_tls_port,
            "domain": livekit.turn_domain,
            "cert_file": livekit.turn_tls_cert,
            "key_file": livekit.turn_tls_key,
        }
    return turn


def node_address(livekit: LiveKitTable, gateway: GatewayTable) -> str:
    """Where browsers send media: loopback, or this machine's address in its network."""
    if livekit.node_ip:
        return livekit.node_ip
    return LOOPBACK if gateway.is_local else network_address()


def network_address() -> str:
    """The address that this machine uses towards others; loopback when it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((DOCUMENTATION_ADDRESS, 9))
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])
