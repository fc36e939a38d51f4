"""The audit of the lock files, against a stand-in for osv.dev on a real socket."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from services import audit
from services.audit import Package, locked
from services.paths import REPOSITORY

pytestmark = pytest.mark.unit

KNOWN = {("npm", "vite"): "GHSA-vite", ("PyPI", "pillow"): "PYSEC-pillow"}


@pytest.fixture
def osv() -> Iterator[str]:
    """Knows KNOWN of every version."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps({"results": [_known(query) for query in asked["queries"]]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _known(query: dict[str, Any]) -> dict[str, Any]:
    package = query["package"]
    known = KNOWN.get((package["ecosystem"], package["name"]))
    return {"vulns": [{"id": known}]} if known and query["version"] else {}


def test_both_lock_files_are_read() -> None:
    packages = locked(REPOSITORY)
    names = {(package.ecosystem, package.name) for package in packages}
    assert names >= {("PyPI", "fastapi"), ("PyPI", "torch"), ("npm", "livekit-client")}
    assert ("npm", "@biomejs/biome") in names
    assert ("PyPI", "xstreamer") not in names
    assert all(package.version for package in packages)
    assert len(packages) > 200


def test_what_is_known_fails_and_is_named(osv: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.audit(REPOSITORY, osv) == 1
    told = capsys.readouterr().err
    assert "https://osv.dev/GHSA-vite" in told
    assert "pillow" in told


def test_what_was_accepted_does_not_fail(osv: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", dict.fromkeys(KNOWN.values(), "not reachable"))
    assert audit.audit(REPOSITORY, osv) == 0


def test_every_package_is_asked_for_in_its_batch(osv: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 3)
    packages = [Package("PyPI", f"p{n}", "1") for n in range(7)] + [Package("npm", "vite", "8")]
    assert [*audit.vulnerabilities(packages, osv)] == [(packages[-1], "GHSA-vite")]


def test_a_service_that_cannot_be_reached_is_said_and_no_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit.audit(REPOSITORY, "http://127.0.0.1:9/") == 0
    assert "NOT CHECKED" in capsys.readouterr().err
