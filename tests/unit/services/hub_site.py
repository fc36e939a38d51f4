"""A Hugging Face hub on this machine, as far as weights are pulled from one."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34


class Hub:
    """Repositories by name, each a table of files. Files over 100 bytes are large ones (LFS)."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut_after: int | None = None
        """Bytes after which the connection breaks."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def listing(self, repo: str) -> dict[str, Any]:
        """What the hub's API says of a repository."""
        files = self.repositories[repo]
        return {
            "sha": COMMIT,
            "cardData": {"license": "other", "license_name": "glm-4"},
            "siblings": [_sibling(name, content) for name, content in files.items()],
        }

    def answer(self, path: str) -> bytes | None:
        """The content behind a path."""
        if path.startswith("/api/models/"):
            repo = path.removeprefix("/api/models/").partition("?")[0]
            return json.dumps(self.listing(repo)).encode() if repo in self.repositories else None
        repo, _, file = path.removeprefix("/").partition(f"/resolve/{COMMIT}/")
        return self.repositories.get(repo, {}).get(file)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                hub.asked.append((self.path, wanted))
                content = hub.answer(self.path)
                if content is None:
                    self.send_error(404)
                    return
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                body = content[start:]
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: hub.cut_after])

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

        return Handler


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if len(content) > 100:
        digest = hashlib.sha256(content).hexdigest()
        sibling |= {
            "blobId": "f" * 40,
            "lfs": {"sha256": digest, "size": len(content), "pointerSize": 130},
        }
    return sibling


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that answers until the end of the block."""
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
