"""CURVE keys of a socket. Without keys a socket must stay on one host (ipc or loopback)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import zmq

from proto.endpoints import is_loopback


@dataclass(frozen=True)
class CurveServer:
    """A server's key pair (Z85) and the public keys of the clients that it lets in."""

    public_key: str
    secret_key: str
    client_keys: tuple[str, ...]


@dataclass(frozen=True)
class CurveClient:
    """A client's key pair (Z85) and the public key of the server that it expects."""

    public_key: str
    secret_key: str
    server_key: str


def check_endpoint(endpoint: str, curve: object | None) -> None:
    """Refuse to leave the host without encryption. Raises ValueError that says what to set."""
    if curve is not None or not endpoint.startswith("tcp://"):
        return
    if not is_loopback(urlsplit(endpoint).hostname or ""):
        raise ValueError(
            f"{endpoint} leaves this host: give both sides CURVE keys, or use ipc:// or 127.0.0.1"
        )


def new_key_pair() -> tuple[str, str]:
    """A fresh (public, secret) pair in Z85 text."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()
