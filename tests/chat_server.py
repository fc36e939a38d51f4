"""The smallest OpenAI-compatible server: answers as it is told, writes down what it is sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

UNKNOWN_MODEL = "absent"
REFUSAL = {"error": {"code": "model_not_found", "message": "no such model: ask the vendor"}}


def no_eyes(_data_url: str) -> str:
    """What a server says of pictures that expects none."""
    raise AssertionError


@dataclass
class ChatServer:
    """`reply`: to the last message's words, in pieces between bars; `describe`: of a data URL."""

    reply: Callable[[str], str]
    describe: Callable[[str], str] = no_eyes
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of requests, each with its `path` and `key`."""

    def settings(self, model: str = "a-model") -> dict[str, str]:
        """Of a Thinker whose brain it is."""
        return {
            "XSTREAMER_THINKER_BRAIN": "openai",
            "XSTREAMER_THINKER_OPENAI_BASE_URL": self.url,
            "XSTREAMER_THINKER_OPENAI_MODEL": model,
        }


@contextmanager
def serving(chat: ChatServer) -> Iterator[ChatServer]:
    """The server on a free port, as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chat.asked.append({"path": self.path, "key": self.headers["Authorization"], **body})
            refused = body["model"] == UNKNOWN_MODEL
            self.send_response(404 if refused else 200)
            self.end_headers()
            content = body["messages"][-1]["content"]
            if refused:
                self._send(REFUSAL)
            elif isinstance(content, str):
                self._stream(chat.reply(content))
            else:
                words = chat.describe(content[0]["image_url"]["url"])
                self._send({"choices": [{"message": {"content": words}}]})

        def _stream(self, words: str) -> None:
            for piece in words.split("|"):
                event = json.dumps({"choices": [{"delta": {"content": piece}}]})
                self.wfile.write(f"data: {event}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def _send(self, answer: dict[str, Any]) -> None:
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
