"""A machine of its own: other tests count restarts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.wire.curve import new_key_pair
from tests.conftest import Stack, free_ports, start_stack, stop_stack


@pytest.fixture(scope="module")
def restarted_stack(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its processes are killed and come back. Its engines are reached as on other hosts: by TCP,
    with known keys only. No log tells a secret.
    """
    running = start_stack(tmp_path_factory.mktemp("chaos"), settings=_addresses() | _keys())
    try:
        yield running
    finally:
        stop_stack(running)
    assert running.leaks() == []


def _addresses() -> dict[str, str]:
    ports = zip(("THINKER", "ACTOR"), free_ports(2), strict=True)
    return {f"XSTREAMER_{engine}_ENDPOINT": f"tcp://127.0.0.1:{port}" for engine, port in ports}


def _keys() -> dict[str, str]:
    """Settings with CURVE keys of every process that has an end of a line."""
    pairs = {name: new_key_pair() for name in ("thinker", "actor", "gateway", "agent")}
    public = {name: pair[0] for name, pair in pairs.items()}
    settings = {}
    for name, (ours, secret) in pairs.items():
        settings |= {f"{name}_curve_public_key": ours, f"{name}_curve_secret_key": secret}
    for client in ("gateway", "agent"):
        for engine in ("thinker", "actor"):
            settings[f"{client}_{engine}_curve_server_key"] = public[engine]
    settings["thinker_actor_curve_server_key"] = public["actor"]
    clients = [public["gateway"], public["agent"]]
    settings["thinker_curve_client_keys"] = json.dumps(clients)
    settings["actor_curve_client_keys"] = json.dumps([*clients, public["thinker"]])
    return {f"XSTREAMER_{name.upper()}": value for name, value in settings.items()}
