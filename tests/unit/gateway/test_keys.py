"""Keys are shown once, kept as a hash, end when they are revoked; sessions end with them."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from gateway.access import SESSION_COOKIE
from gateway.app import create_app
from gateway.deps import Services
from gateway.keys import CONFIGURED, Keys, key_hash
from gateway.settings import GatewaySettings
from gateway.store.database import Database
from gateway.store.keys import KeyStore
from tests.unit.gateway.conftest import SECRET, FakeChecker, FakeRooms

pytestmark = pytest.mark.unit

URL = "https://calls.example"
ADMIN = "an-admin-key-of-more-than-32-characters"
BY_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
SAME_ORIGIN = {"origin": URL, "sec-fetch-site": "same-origin"}


@pytest.fixture
def network(
    settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms
) -> Iterator[TestClient]:
    with_key = {"host": "0.0.0.0", "admin_key": ADMIN}
    strict = GatewaySettings(**{**settings.model_dump(), **with_key})
    with TestClient(create_app(strict, checker, rooms), URL) as client:
        yield client


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    database = Database(f"sqlite:///{tmp_path}/keys.sqlite3")
    database.migrate()
    return Keys(KeyStore(database))


def create(client: TestClient, *scopes: str) -> dict[str, str]:
    wanted = {"name": "phone", "scopes": scopes}
    answer = client.post("/api/keys", json=wanted, headers=BY_ADMIN)
    assert answer.status_code == 201, answer.text
    created: dict[str, str] = answer.json()
    return created


def by(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_new_key_works_and_is_never_shown_again(network: TestClient):
    created = create(network, "rooms")
    assert created["key"].startswith("xs_")
    assert network.get("/api/avatars", headers=by(created["key"])).status_code == 200
    listed = network.get("/api/keys", headers=BY_ADMIN)
    assert {entry["id"] for entry in listed.json()} == {CONFIGURED, created["id"]}
    assert created["key"] not in listed.text


def test_the_database_holds_hashes_only(network: TestClient, settings: GatewaySettings):
    created = create(network, "rooms")
    network.post("/api/session", headers=by(created["key"]))
    shown = (created["key"], network.cookies[SESSION_COOKIE], ADMIN)
    database = Database(settings.resolved_database_url)
    with database.engine.connect() as connection:
        rows = str(list(connection.execute(text("SELECT * FROM api_keys"))))
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    database.close()
    files = b"".join(f.read_bytes() for f in settings.data_dir.rglob("*") if f.is_file())
    for secret in shown:
        assert key_hash(secret) in rows
        assert secret not in rows
        assert secret.encode() not in files


def test_keys_differ_and_carry_256_random_bits(keys: Keys):
    shown = {keys.create("x", ("rooms",))[1] for _ in range(20)}
    assert len(shown) == 20
    assert all(len(key) == len("xs_") + 43 for key in shown)  # 32 bytes in base64url


def test_a_revoked_key_opens_nothing_and_its_sessions_end(network: TestClient):
    created = create(network, "rooms")
    assert network.post("/api/session", headers=by(created["key"])).status_code == 201
    assert network.get("/api/avatars").status_code == 200  # by the cookie
    revoked = network.delete(f"/api/keys/{created['id']}", headers=BY_ADMIN)
    assert revoked.status_code == 204
    assert network.get("/api/avatars").status_code == 401
    assert network.get("/api/avatars", headers=by(created["key"])).status_code == 401
    again = network.delete(f"/api/keys/{created['id']}", headers=BY_ADMIN)
    assert (again.status_code, again.json()["code"]) == (404, "key_not_found")


def test_a_browser_gets_a_cookie_that_scripts_and_other_sites_cannot_use(network: TestClient):
    answer = network.post("/api/session", headers={**BY_ADMIN, **SAME_ORIGIN})
    cookie = answer.headers["set-cookie"].lower()
    for attribute in ("httponly", "samesite=strict", "secure", "path=/", "max-age=43200"):
        assert attribute in cookie
    assert ADMIN not in cookie
    room = {"avatar_id": "mara"}
    assert network.post("/api/rooms", json=room, headers=SAME_ORIGIN).status_code == 201
    cross = network.post("/api/rooms", json=room, headers={"origin": "https://evil.example"})
    assert (cross.status_code, cross.json()["code"]) == (403, "cross_site")


def test_a_cookie_makes_no_keys_and_is_none(network: TestClient):
    network.post("/api/session", headers=BY_ADMIN)
    cookie = network.cookies[SESSION_COOKIE]
    wanted = {"name": "x", "scopes": ["admin"]}
    assert network.post("/api/keys", json=wanted).json()["code"] == "key_needed"
    assert network.get("/api/keys").status_code == 403
    assert network.delete("/api/keys/configured").status_code == 403
    network.cookies.clear()
    assert network.get("/api/avatars", headers=by(cookie)).status_code == 401
    network.cookies.set(SESSION_COOKIE, ADMIN)
    assert network.get("/api/avatars").status_code == 401


def test_signing_out_ends_the_session_on_the_server(network: TestClient):
    network.post("/api/session", headers=BY_ADMIN)
    cookie = network.cookies[SESSION_COOKIE]
    assert network.delete("/api/session", headers=SAME_ORIGIN).status_code == 204
    network.cookies.set(SESSION_COOKIE, cookie)
    assert network.get("/api/avatars").status_code == 401


def test_a_session_ends_by_itself(keys: Keys):
    key, _ = keys.create("x", ("rooms",))
    _, good = keys.open_session(key, 60)
    _, over = keys.open_session(key, 0)
    assert keys.store.by_hash(key_hash(good)) is not None
    assert keys.store.by_hash(key_hash(over)) is None


def test_the_key_of_the_settings_counts_while_it_is_set(keys: Keys):
    def is_good(shown: str) -> bool:
        return keys.store.by_hash(key_hash(shown)) is not None

    keys.configure(SecretStr(ADMIN))
    _, cookie = keys.open_session(keys.store.all()[0], 3600)
    keys.configure(SecretStr(ADMIN))
    assert is_good(ADMIN)
    assert is_good(cookie), "a restart signs nobody out"
    keys.configure(SecretStr(ADMIN + "2"))
    assert not is_good(ADMIN)
    assert not is_good(cookie)
    keys.configure(None)
    assert keys.store.all() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "", "scopes": ["rooms"]},
    ],
)
def test_a_key_without_a_name_or_with_unknown_scopes_is_refused(
    network: TestClient, body: dict[str, object]
):
    assert network.post("/api/keys", json=body, headers=BY_ADMIN).status_code == 422


def test_a_short_admin_key_is_refused_and_no_secret_is_printed(settings: GatewaySettings):
    values = {**settings.model_dump(), "admin_key": "short-and-secret"}
    with pytest.raises(ValidationError, match="32 characters") as refused:
        GatewaySettings(**values)
    assert "short-and-secret" not in str(refused.value)
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(settings)


def test_no_secret_is_ever_logged(network: TestClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    created = create(network, "rooms")
    network.post("/api/session", headers=by(created["key"]))
    secrets = [ADMIN, SECRET, created["key"], network.cookies[SESSION_COOKIE]]
    room = network.post("/api/rooms", json={"avatar_id": "mara"}).json()
    secrets.append(room["token"])
    services = network.app.state.services  # type: ignore[attr-defined]
    assert isinstance(services, Services)
    for headers in (by(created["key"]), by(room["token"]), by("xs_wrong"), by(ADMIN)):
        for path in (f"/api/rooms/{room['room']}", "/api/turns", "/api/keys", "/nothing"):
            network.get(path, headers=headers)
    network.post("/api/livekit/webhook", content=b"x", headers={"Authorization": room["token"]})
    network.delete(f"/api/keys/{created['id']}", headers=BY_ADMIN)
    assert len(caplog.records) > 5
    logged = "\n".join(f"{vars(record)} {record.getMessage()}" for record in caplog.records)
    for secret in secrets:
        assert secret not in logged
