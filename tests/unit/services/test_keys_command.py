"""`xstreamer keys`: keys are made, listed and revoked in the gateway's own database."""

import tomllib
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner, Result

from gateway.keys import key_hash
from gateway.store.database import Database
from gateway.store.keys import KeyStore
from services.cli import app
from services.settings import GatewayTable
from services.supervisor.credentials import page_key

pytestmark = pytest.mark.unit


def keys(tmp_path: Path, *arguments: str) -> Result:
    environ = {"XSTREAMER_DATA": str(tmp_path), "COLUMNS": "200"}
    return CliRunner().invoke(app, ["keys", *arguments], env=environ)


def store(tmp_path: Path) -> KeyStore:
    return KeyStore(Database(f"sqlite:///{tmp_path}/gateway/gateway.sqlite3"))


def test_a_key_is_made_shown_listed_and_revoked(tmp_path: Path) -> None:
    made = keys(tmp_path, "create", "Ada's phone", "--scope", "rooms", "--scope", "avatars")
    assert made.exit_code == 0, made.stderr
    shown = made.output.split()[-1]
    key = store(tmp_path).by_hash(key_hash(shown))
    assert key is not None
    assert (key.name, key.scopes) == ("Ada's phone", ["avatars", "rooms"])
    listed = keys(tmp_path, "list").output
    assert "Ada's phone" in listed
    assert shown not in listed
    assert keys(tmp_path, "revoke", key.id).exit_code == 0
    assert store(tmp_path).by_hash(key_hash(shown)) is None


def test_a_pair_of_curve_keys_fits_what_settings_take(tmp_path: Path) -> None:
    made = tomllib.loads("\n".join(keys(tmp_path, "curve").output.splitlines()[1:]))
    check_pair = zmq.curve_public(made["curve_secret_key"].encode()).decode()
    assert made["curve_public_key"] == check_pair
    again = keys(tmp_path, "curve").output
    assert made["curve_secret_key"] not in again


def test_keys_that_do_not_exist_and_scopes_that_do_not_are_refused(tmp_path: Path) -> None:
    assert "xstreamer keys list" in keys(tmp_path, "revoke", "key-x").stderr
    assert "avatars, rooms, metrics" in keys(tmp_path, "create", "x", "--scope", "root").stderr
    assert keys(tmp_path, "create", "x").exit_code == 2
    assert "admin_key" in keys(tmp_path, "revoke", "configured").stderr


def test_the_printed_key_is_new_at_each_start_and_only_where_one_is_asked_for() -> None:
    network = GatewayTable(host="0.0.0.0")
    assert page_key(network) != page_key(network)
    assert page_key(GatewayTable(require_keys=True)).startswith("xs_")
    assert page_key(GatewayTable()) == ""
    assert page_key(GatewayTable(host="0.0.0.0", admin_key="chosen")) == ""
