"""Health checks ask what a process really offers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from services.ready import main

pytestmark = pytest.mark.unit


class Handler(BaseHTTPRequestHandler):
    """Ready at /good, not at /bad."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_is_ready_when_it_says_so(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{site}/good"]) == 0
    assert main([f"{site}/bad"]) == 1
    assert "503" in capsys.readouterr().err


def test_an_engine_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    assert main([f"ipc://{tmp_path}/nobody"]) == 1


@pytest.mark.parametrize("arguments", [[], ["thinker"]])
def test_what_is_no_address_is_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert "http://host:port" in capsys.readouterr().err or not arguments
