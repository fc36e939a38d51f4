"""Foreign hosts, other sites and floods are refused before any route sees them."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from gateway.app import create_app
from gateway.capacity import WorkerLoad
from gateway.errors import GatewayError
from gateway.rate_limits import MAX_CALLERS, RateLimit, network_of
from gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import FakeChecker, FakeMeter, FakeRooms

pytestmark = pytest.mark.unit

ROOM = {"avatar_id": "mara"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "192.168.1.20:8080"])
def test_a_foreign_name_that_leads_to_loopback_reaches_nothing(client: TestClient, host: str):
    for path in ("/", "/api/avatars", "/api/livekit/webhook"):
        answer = client.get(path, headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host")
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(f"ws://{host}/livekit/rtc"),
    ):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:5173", "[::1]:8080", "localhost"])
def test_names_of_this_machine_are_answered(client: TestClient, host: str):
    assert client.get("/api/avatars", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["a; script-src *", "a b", "", "a/b", "a@b", "[::1"])
def test_a_host_that_is_no_address_never_gets_into_our_policy(client: TestClient, host: str):
    answer = client.get("/api/avatars", headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_host")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "cross-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(
    client: TestClient, rooms: FakeRooms, headers: dict[str, str]
):
    answer = client.post("/api/rooms", json=ROOM, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    form = {**headers, "content-type": "text/plain"}  # what a form can send without asking first
    assert client.post("/api/rooms", content="x", headers=form).status_code == 403
    assert client.delete("/api/avatars/mara", headers=headers).status_code == 403
    assert rooms.rooms == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_our_own_page_and_programs_may(client: TestClient, headers: dict[str, str]):
    assert client.post("/api/rooms", json=ROOM, headers=headers).status_code == 201


def test_no_other_site_is_let_in_by_cors(client: TestClient):
    asked = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    for answer in (
        client.options("/api/avatars", headers=asked),
        client.get("/api/avatars", headers={"origin": "https://evil.example"}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_policy_runs_our_own_scripts_and_no_others(client: TestClient):
    for path in ("/", "/docs", "/api/avatars", "/nothing", "/healthz"):
        policy = client.get(path).headers["content-security-policy"]
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
        assert rules["script-src"] == rules["form-action"] == "'self'"
        assert "*" not in policy


@pytest.fixture
def limited(
    settings: GatewaySettings, checker: FakeChecker, rooms: FakeRooms, meter: FakeMeter
) -> Iterator[TestClient]:
    """Keys are required; eight creations and forty requests a minute, a quarter at once."""
    few = {
        "host": "0.0.0.0",
        "admin_key": "an-admin-key-of-more-than-32-characters",
        "creations_per_minute": 8,
        "requests_per_minute": 40,
    }
    strict = GatewaySettings(**{**settings.model_dump(), **few})
    with TestClient(create_app(strict, checker, rooms, meter), "https://calls.example") as client:
        yield client


ADMIN = {"Authorization": "Bearer an-admin-key-of-more-than-32-characters"}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://calls.example", True),
        ("http://calls.example", False),
        ("https://localhost:8443", False),
    ],
)
def test_browsers_are_told_to_stay_with_https(limited: TestClient, url: str, told: bool):
    headers = limited.get(f"{url}/healthz").headers
    assert ("strict-transport-security" in headers) is told
    if told:
        assert headers["strict-transport-security"] == "max-age=31536000"


def test_creations_are_limited_for_each_key(limited: TestClient):
    other = limited.post(
        "/api/keys", json={"name": "other", "scopes": ["rooms"]}, headers=ADMIN
    ).json()
    assert limited.post("/api/rooms", json=ROOM, headers=ADMIN).status_code == 201
    refused = limited.post("/api/rooms", json=ROOM, headers=ADMIN)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 8
    mine = {"Authorization": f"Bearer {other['key']}"}
    assert limited.post("/api/rooms", json=ROOM, headers=mine).status_code == 201


def test_whoever_waits_in_the_line_is_counted_once(limited: TestClient, meter: FakeMeter):
    meter.load = (WorkerLoad(1),)
    other = limited.post(
        "/api/keys", json={"name": "other", "scopes": ["rooms"]}, headers=ADMIN
    ).json()
    assert limited.post("/api/rooms", json=ROOM, headers=ADMIN).status_code == 201
    again = ADMIN | {"XStreamer-Ticket": "made-up"}
    assert limited.post("/api/rooms", json=ROOM, headers=again).json()["code"] == (
        "too_many_requests"
    )
    mine = {"Authorization": f"Bearer {other['key']}"}
    waits = limited.post("/api/rooms", json=ROOM, headers=mine).json()
    for _ in range(5):
        mine["XStreamer-Ticket"] = waits["ticket"]
        assert limited.post("/api/rooms", json=ROOM, headers=mine).json()["code"] == "at_capacity"


def test_a_flood_is_told_when_to_come_back(limited: TestClient):
    answers = [limited.get("/api/avatars") for _ in range(12)]
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert answers[-1].status_code == 429
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert int(answers[-1].headers["retry-after"]) >= 1
    unsigned = limited.post("/api/livekit/webhook", content=b"{}")
    assert unsigned.status_code == 401, "machines that sign are not counted"


def test_a_bucket_fills_again_with_time():
    now_s = [0.0]
    limit = RateLimit(60, lambda: now_s[0])
    for _ in range(15):
        limit.take("a")
    with pytest.raises(GatewayError) as refused:
        limit.take("a")
    assert refused.value.problem.model_dump()["retry_after_s"] == 1
    limit.take("b")
    now_s[0] = 1.0
    limit.take("a")
    with pytest.raises(GatewayError):
        limit.take("a")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_whoever_has_one_address_of_a_network_has_all_of_them(one: str, other: str, same: bool):
    assert (network_of(one) == network_of(other)) is same


def test_a_flood_from_many_addresses_of_one_network_is_one_flood(settings: GatewaySettings):
    few = settings.model_copy(update={"host": "0.0.0.0", "requests_per_minute": 12})
    app = create_app(few, FakeChecker(), FakeRooms())
    url = "https://calls.example"
    with TestClient(app, url):
        callers = [TestClient(app, url, client=(f"2001:db8::{n}", 50_000)) for n in range(4)]
        statuses = [caller.get("/healthz").status_code for caller in callers]
    assert statuses == [200, 200, 200, 429]


def test_strangers_do_not_fill_the_memory():
    limit = RateLimit(60, lambda: 0.0)
    for number in range(MAX_CALLERS + 100):
        limit.take(str(number))
    assert len(limit._buckets) == MAX_CALLERS
