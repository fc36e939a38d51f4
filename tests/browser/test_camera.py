"""Eyes, whole: Chromium's camera, the room, and a model server that looks at what it is sent."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from tests.browser.conftest import eventually
from tests.conftest import Stack, start_stack, stop_stack

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_MS = 25_000
COLOURS = ("red", "green", "blue")
SEEN = "(You see me through my camera: "


@dataclass
class Models:
    """An OpenAI-compatible server: its eyes name the picture's colour, its brain repeats that."""

    url: str = ""
    pictures: list[Image.Image] = field(default_factory=list)

    def describe(self, data_url: str) -> str:
        """What a picture shows."""
        picture = Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2])))
        self.pictures.append(picture)
        colour = COLOURS[int(np.asarray(picture.convert("RGB")).mean((0, 1)).argmax())]
        return f"Something {colour}."

    def reply(self, prompt: str) -> str:
        """What the avatar says."""
        if SEEN not in prompt:
            return "I cannot see you."
        return f"I see {prompt.partition(SEEN)[2].partition('.')[0].lower()}."


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    known = Models()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = body["messages"][-1]["content"]
            self.send_response(200)
            self.end_headers()
            if isinstance(content, str):
                self._stream(known.reply(content))
            else:
                words = known.describe(content[0]["image_url"]["url"])
                self._send({"choices": [{"message": {"content": words}}]})

        def _stream(self, words: str) -> None:
            event = json.dumps({"choices": [{"delta": {"content": words}}]})
            self.wfile.write(f"data: {event}\n\ndata: [DONE]\n\n".encode())

        def _send(self, answer: dict[str, Any]) -> None:
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield known
    server.shutdown()


@pytest.fixture(scope="module")
def seeing(
    assets_dir: Path, models: Models, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A machine with eyes."""
    settings = {
        "XSTREAMER_THINKER_BRAIN": "openai",
        "XSTREAMER_THINKER_OPENAI_BASE_URL": models.url,
        "XSTREAMER_THINKER_OPENAI_MODEL": "parrot",
        "XSTREAMER_THINKER_EYES": "openai",
        "XSTREAMER_THINKER_EYES_MODEL": "painter",
        "XSTREAMER_THINKER_EYES_WAIT_S": "10",
    }
    running = start_stack(tmp_path_factory.mktemp("seeing"), settings=settings)
    yield running
    stop_stack(running)


async def test_the_avatar_sees_while_the_camera_is_on_and_the_caller_is_told(
    seeing: Stack, models: Models, browser: CallbenchConfig
) -> None:
    models.pictures.clear()
    async with open_caller(browser) as caller:
        page = CallPage(caller, seeing.gateway_url)
        await page.call("mara")
        camera = caller.page.get_by_test_id("camera-button")
        notice = caller.page.get_by_test_id("looks")
        captions = caller.page.get_by_test_id("captions")

        await camera.wait_for()
        assert await camera.get_attribute("aria-pressed") == "false"
        await page.type_message("Can you see me?")
        await captions.get_by_text("I cannot see you.").wait_for(timeout=ANSWER_WITHIN_MS)
        await page.hear_out(0.5)
        assert not models.pictures
        assert await notice.inner_text() == ""

        await camera.click()
        pressed = caller.page.locator('[data-testid="camera-button"][aria-pressed="true"]')
        await pressed.wait_for()
        await caller.listen(1)  # its first frames are on their way
        await page.type_message("And now?")
        await notice.get_by_text("Mara looks through your camera").wait_for()
        # Chromium's own test picture is green.
        await captions.get_by_text("I see something green.").wait_for(timeout=ANSWER_WITHIN_MS)

        async def untold() -> bool:
            return await notice.inner_text() == ""

        await page.hear_out(0.5)
        await eventually(untold, 5, "the notice is gone when the answer is over")
        (picture,) = models.pictures
        assert max(picture.size) <= 512
        assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.02)

        await camera.click()
        await page.type_message("And with your eyes shut?")
        await captions.get_by_text("I cannot see you.").nth(1).wait_for(timeout=ANSWER_WITHIN_MS)
        assert len(models.pictures) == 1
        await page.end()
        assert not caller.complaints
