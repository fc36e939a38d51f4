"""Every error is a problem document; every answer carries the security headers."""

import pytest
from fastapi.testclient import TestClient

from gateway.deps import Services
from gateway.headers import content_security_policy

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("PUT", "/api/avatars", 405, "method_not_allowed"),
        ("GET", "/api/avatars/nobody", 404, "avatar_not_found"),
        ("GET", "/favicon.ico", 404, "file_not_found"),
    ],
)
def test_errors_of_the_framework_are_problems_too(
    client: TestClient, method: str, path: str, status: int, code: str
):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["status"] == status


def test_a_wrong_method_names_the_right_ones(client: TestClient):
    assert "GET" in client.put("/api/avatars/mara").headers["allow"]


def test_a_crash_is_a_problem_that_gives_nothing_away(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
):
    def crash() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(services.avatars.store, "all", crash)
    answer = client.get("/api/avatars")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.text


def test_pages_may_run_only_their_own_scripts_and_not_be_framed(client: TestClient):
    headers = client.get("/healthz").headers
    policy = headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_the_page_may_connect_to_the_public_address_of_livekit():
    policy = content_security_policy("me:8080", "wss://lk.example:443/x", "/")
    connect = next(rule for rule in policy.split("; ") if rule.startswith("connect-src"))
    assert connect.split()[1:5] == [
        "'self'",
        "ws://me:8080",
        "wss://me:8080",
        "ws://lk.example:443",
    ]
    assert "wss://lk.example:443" in connect


def test_only_the_rest_documentation_may_use_inline_styles():
    assert "unsafe-inline" not in content_security_policy("me", None, "/")
    assert "unsafe-inline" in content_security_policy("me", None, "/docs")
