"""Who may do what: every route is public by name or refuses; and nobody sees another's things."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from livekit import api
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import WebSocketDenialResponse

from gateway.app import create_app
from gateway.deps import Services
from gateway.keys import SCOPES, Scope
from gateway.readiness import ReadinessProbe
from gateway.schemas import PartStatus, Readiness
from gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import CROP, KEY, SECRET, FakeChecker, FakeRooms

pytestmark = pytest.mark.unit

NETWORK_URL = "https://calls.example:8443"
PUBLIC = {
    ("GET", "/"),
    ("GET", "/dashboard"),
    ("GET", "/call/{room}"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/assets/{path:path}"),
    ("GET", "/swagger/{path:path}"),
    ("GET", "/{name}.{kind}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/.well-known/jwks.json"),
    # LiveKit's own token is checked by LiveKit.
    ("GET", "/livekit/rtc/validate"),
    ("GET", "/livekit/rtc/v1/validate"),
    # Signed with the LiveKit key, body and all.
    ("POST", "/api/livekit/webhook"),
    ("POST", "/api/calls/{room}/reports"),
    ("POST", "/api/workers"),
}
SIGNED = {
    ("POST", "/api/livekit/webhook"),
    ("POST", "/api/calls/{room}/reports"),
    ("POST", "/api/workers"),
}
SIGNALLING = {"/livekit/rtc", "/livekit/rtc/v1"}  # LiveKit asks for its token
SIGNED_SOCKETS = {"/api/calls/{room}/lifeline"}


@pytest.fixture
def network(
    settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms
) -> Iterator[TestClient]:
    """A gateway that other machines reach."""
    app = create_app(settings.model_copy(update={"host": "0.0.0.0"}), checker, rooms)
    with TestClient(app, NETWORK_URL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def its_services(network: TestClient) -> Services:
    services = network.app.state.services  # type: ignore[attr-defined]
    assert isinstance(services, Services)
    return services


def bearer(services: Services, *scopes: Scope) -> dict[str, str]:
    """The header of a new key."""
    _, shown = services.keys.create("test", scopes)
    return {"Authorization": f"Bearer {shown}"}


def token_header(created: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {created['token']}"}


def upload(client: TestClient, headers: dict[str, str]) -> str:
    files = {"portrait": ("me.png", b"picture", "image/png")}
    answer = client.post(
        "/api/avatars", files=files, data={"name": "Ada", "consent": "true"}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def call(client: TestClient, headers: dict[str, str], avatar: str = "mara") -> dict[str, str]:
    answer = client.post("/api/rooms", json={"avatar_id": avatar}, headers=headers)
    assert answer.status_code == 201, answer.text
    created: dict[str, str] = answer.json()
    return created


def routes(client: TestClient) -> list[tuple[str, str]]:
    """(method, path) of all that the app serves, included routers and all."""
    found = [*_walk(client.app.routes)]  # type: ignore[attr-defined]
    assert len(found) > 25
    return found


def _walk(entries: Any) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if isinstance(entry, Route):
            yield from (
                (method, entry.path) for method in sorted((entry.methods or set()) - {"HEAD"})
            )
        elif isinstance(entry, WebSocketRoute):
            yield ("WEBSOCKET", entry.path)
        elif hasattr(entry, "original_router"):
            assert entry.include_context.prefix == ""
            yield from _walk(entry.original_router.routes)
        else:
            pytest.fail(f"what is {entry!r}?")


def address(path: str) -> str:
    for name in ("room", "avatar_id", "key_id", "ticket"):
        path = path.replace(f"{{{name}}}", "mara")
    return path.replace("{turn_id}", "1")


def test_every_route_is_public_by_name_or_refuses_without_a_key(network: TestClient):
    found = routes(network)
    assert {path for method, path in found if method == "WEBSOCKET"} == (
        SIGNALLING | SIGNED_SOCKETS
    )
    rest = [(method, path) for method, path in found if method != "WEBSOCKET"]
    assert set(rest) >= PUBLIC, "a public route that does not exist"
    for method, path in rest:
        if (method, path) in PUBLIC - SIGNED:
            continue
        answer = network.request(method, address(path), content=b"{}")
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        if (method, path) not in SIGNED:
            assert answer.json()["code"] == "key_needed", (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"


MOST_OF_A_SIGNED_BODY = 1024 * 1024
"""A signature is over its body, so that much of a stranger's is read."""


async def test_a_stranger_is_refused_before_the_body_is_read(network: TestClient):
    """An endless body would else fill the memory, and one that stalls hold a place for ever."""
    block = b"x" * 64 * 1024
    for method, path in routes(network):
        if method in {"GET", "WEBSOCKET"}:
            continue
        taken = 0
        answer: list[Any] = []

        async def receive() -> dict[str, Any]:
            nonlocal taken
            taken += len(block)
            assert taken <= 2 * MOST_OF_A_SIGNED_BODY, (method, path)  # noqa: B023
            return {"type": "http.request", "body": block, "more_body": True}

        async def send(message: Any) -> None:
            answer.append(message)  # noqa: B023

        headers = [(b"host", b"calls.example:8443"), (b"content-type", b"application/json")]
        url = {"scheme": "https", "path": address(path), "raw_path": b"", "query_string": b""}
        scope = {"type": "http", "method": method, "headers": headers, "client": ("9.9.9.9", 1)}
        await network.app({**scope, **url, "http_version": "1.1"}, receive, send)
        if (method, path) in SIGNED:
            assert answer[0]["status"] in {401, 413}, (method, path)
            assert taken <= MOST_OF_A_SIGNED_BODY, (method, path)
        else:
            assert answer[0]["status"] == 401, (method, path)
            assert taken == 0, (method, path)


@pytest.mark.parametrize("ready", [True, False])
def test_only_whoever_may_see_figures_is_told_of_what_readiness_consists(
    network: TestClient, its_services: Services, monkeypatch: pytest.MonkeyPatch, ready: bool
):
    async def look(_: ReadinessProbe) -> Readiness:
        part = PartStatus(ready=ready, detail="3 sessions", labels={"brain": "big"})
        return Readiness(ready=ready, not_ready=[] if ready else ["actor"], parts={"actor": part})

    monkeypatch.setattr(ReadinessProbe, "look", look)
    token = token_header(call(network, bearer(its_services, "rooms")))
    for headers in ({}, {"Authorization": "Bearer xs_guess"}, token, bearer(its_services, "rooms")):
        answer = network.get("/readyz", headers=headers)
        assert answer.status_code == (200 if ready else 503)
        assert answer.json()["ready"] is ready
        assert not [word for word in ("actor", "sessions", "brain") if word in answer.text]
    for headers in (bearer(its_services, "metrics"), bearer(its_services, "admin")):
        found = network.get("/readyz", headers=headers).json()
        assert found["parts"]["actor"]["detail"] == "3 sessions"


@pytest.mark.parametrize("value", ["Bearer xs_guess", "Bearer ", "Basic eHM6eHM=", "Bearer a.b.c"])
def test_a_key_that_nobody_made_opens_nothing(network: TestClient, value: str):
    answer = network.get("/api/avatars", headers={"Authorization": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_needed")
    assert "xstreamer keys create" in answer.json()["hint"]


NEEDS: dict[tuple[str, str], set[Scope]] = {
    ("GET", "/api/avatars"): {"avatars", "rooms"},
    ("POST", "/api/avatars"): {"avatars"},
    ("DELETE", "/api/avatars/{avatar_id}"): {"avatars"},
    ("GET", "/api/voices"): {"avatars", "rooms"},
    ("POST", "/api/rooms"): {"rooms"},
    ("DELETE", "/api/waiting/{ticket}"): {"rooms"},
    ("GET", "/metrics"): {"metrics"},
    ("GET", "/api/latency"): {"metrics"},
    ("GET", "/api/turns"): {"metrics"},
    ("GET", "/api/turns/{turn_id}"): {"metrics"},
    ("POST", "/api/keys"): set(),
    ("GET", "/api/keys"): set(),
    ("DELETE", "/api/keys/{key_id}"): set(),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_does_what_its_scope_says_and_nothing_else(
    network: TestClient, its_services: Services, scope: Scope
):
    headers = bearer(its_services, scope)
    for (method, path), scopes in NEEDS.items():
        answer = network.request(method, address(path), headers=headers)
        refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
        assert refused == (scope not in {*scopes, "admin"}), (method, path, answer.text)


OWNED = {
    ("GET", "/api/avatars/{avatar_id}"): "avatar_not_found",
    ("GET", "/api/avatars/{avatar_id}/portrait"): "avatar_not_found",
    ("DELETE", "/api/avatars/{avatar_id}"): "avatar_not_found",
    ("GET", "/api/rooms/{room}"): "room_not_found",
    ("GET", "/api/rooms/{room}/turns"): "room_not_found",
    ("DELETE", "/api/rooms/{room}"): "room_not_found",
    ("DELETE", "/api/rooms/{room}/record"): "room_not_found",
    ("PUT", "/api/rooms/{room}/mood"): "room_not_found",
}
"""What belongs to somebody, and what all others are told of it."""


def test_every_route_is_tried_by_a_stranger_a_wrong_scope_or_another_owner(network: TestClient):
    guarded = {found for found in routes(network) if found[0] != "WEBSOCKET"} - PUBLIC
    assert guarded == {*NEEDS, *OWNED, ("POST", "/api/session"), ("DELETE", "/api/session")}


def test_one_key_never_sees_what_another_made(network: TestClient, its_services: Services):
    mine = bearer(its_services, "avatars", "rooms")
    theirs = bearer(its_services, "avatars", "rooms", "metrics")
    avatar = upload(network, mine)
    room = call(network, mine, avatar)["room"]
    for (method, path), code in OWNED.items():
        answer = network.request(method, path.format(avatar_id=avatar, room=room), headers=theirs)
        assert (answer.status_code, answer.json()["code"]) == (404, code), (method, path)
    called = network.post("/api/rooms", json={"avatar_id": avatar}, headers=theirs)
    assert (called.status_code, called.json()["code"]) == (404, "avatar_not_found")
    listed = network.get("/api/avatars", headers=theirs).json()
    assert avatar not in {entry["id"] for entry in listed}
    assert "mara" in {entry["id"] for entry in listed}
    assert network.get(f"/api/avatars/{avatar}/portrait", headers=mine).content == CROP
    assert network.get(f"/api/rooms/{room}", headers=mine).json()["state"] == "created"
    admin = bearer(its_services, "admin")
    assert network.get(f"/api/rooms/{room}", headers=admin).status_code == 200


def test_a_rooms_token_reaches_its_own_room_and_no_other(
    network: TestClient, its_services: Services
):
    key = bearer(its_services, "avatars", "rooms")
    own, other = upload(network, key), upload(network, key)
    mine, theirs = call(network, key, own), call(network, key, other)
    token = token_header(mine)
    assert network.get(f"/api/rooms/{mine['room']}", headers=token).status_code == 200
    assert network.get(f"/api/rooms/{mine['room']}/turns", headers=token).json() == []
    assert network.get(f"/api/avatars/{own}/portrait", headers=token).content == CROP
    not_mine = [
        (method, path.format(avatar_id=other, room=theirs["room"]))
        for method, path in OWNED.keys() - NEEDS.keys()
    ]
    for method, path in [*not_mine, ("GET", "/api/avatars/mara/portrait")]:
        assert network.request(method, path, headers=token).status_code == 404, (method, path)
    for method, path in NEEDS:
        answer = network.request(method, address(path), headers=token)
        assert answer.status_code == 403, (method, path)
    assert network.delete(f"/api/rooms/{mine['room']}", headers=token).json()["state"] == "ended"
    assert network.get(f"/api/rooms/{theirs['room']}", headers=key).json()["state"] == "created"


def test_a_rooms_token_becomes_no_session(network: TestClient, its_services: Services):
    token = token_header(call(network, bearer(its_services, "rooms")))
    answer = network.post("/api/session", headers=token)
    assert answer.json() == {"scopes": [], "expires_at": None}
    assert "set-cookie" not in answer.headers


def test_a_rooms_token_signs_no_report_no_webhook_and_no_lifeline(
    network: TestClient, its_services: Services
):
    created = call(network, bearer(its_services, "rooms"))
    lifeline = f"wss://calls.example:8443/api/calls/{created['room']}/lifeline?identity=avatar-1"
    for headers in ({}, {"authorization": created["token"]}):
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            network.websocket_connect(lifeline, headers=headers),
        ):
            pass
        assert refused.value.status_code == 401
    for path in (f"/api/calls/{created['room']}/reports", "/api/livekit/webhook", "/api/workers"):
        answer = network.post(path, content=b"{}", headers={"Authorization": created["token"]})
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


def forged(room: str, secret: str = SECRET, ttl_s: int = 60, **grants: Any) -> str:
    wanted = api.VideoGrants(**{"room_join": True, "room": room, **grants})
    token = api.AccessToken(KEY, secret).with_identity("x").with_ttl(timedelta(seconds=ttl_s))
    return token.with_grants(wanted).to_jwt()


def test_tokens_of_another_secret_expired_or_for_no_room_open_nothing(
    network: TestClient, its_services: Services
):
    room = call(network, bearer(its_services, "rooms"))["room"]
    good = {"Authorization": f"Bearer {forged(room)}"}
    assert network.get(f"/api/rooms/{room}", headers=good).status_code == 200
    for token in (
        forged(room, secret="another-secret-of-32-characters-or-more"),
        forged(room, ttl_s=-3600),
        forged(room, room_join=False),
        forged("", room_join=False, room_admin=True, room_list=True),
    ):
        answer = network.get(f"/api/rooms/{room}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def test_on_loopback_nobody_needs_a_key_unless_it_is_wanted(
    client: TestClient, settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms
):
    assert client.get("/api/avatars").status_code == 200
    assert client.get("/metrics").status_code == 200
    strict = create_app(settings.model_copy(update={"require_keys": True}), checker, rooms)
    with TestClient(strict, "https://calls.example") as behind_a_proxy:
        assert behind_a_proxy.get("/api/avatars").status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "calls.example"])
def test_every_other_address_asks_for_keys(settings: GatewaySettings, host: str):
    assert not settings.model_copy(update={"host": host}).is_open


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_open(settings: GatewaySettings, host: str):
    assert settings.model_copy(update={"host": host}).is_open


def test_room_names_cannot_be_guessed(network: TestClient, its_services: Services):
    key = bearer(its_services, "rooms")
    names = {call(network, key)["room"] for _ in range(5)}
    assert len(names) == 5
    assert all(len(name.removeprefix("call-")) * 4 >= 128 for name in names)
