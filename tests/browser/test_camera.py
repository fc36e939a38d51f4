"""Eyes, whole: Chromium's camera, the room, and a model server that looks at what it is sent."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.callbench.call_page import CallPage
from services.callbench.caller import open_caller
from services.callbench.config import CallbenchConfig
from tests.browser.conftest import eventually
from tests.chat_server import ChatServer, serving
from tests.conftest import Stack, start_stack, stop_stack
from tests.promises import promise

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

ANSWER_WITHIN_MS = 25_000
COLOURS = ("red", "green", "blue")
SEEN = "(You see me through my camera: "


def reply(prompt: str) -> str:
    """What the avatar says: it repeats what its eyes saw."""
    if SEEN not in prompt:
        return "I cannot see you."
    return f"I see {prompt.partition(SEEN)[2].partition('.')[0].lower()}."


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """What the eyes were shown."""
    return []


@pytest.fixture(scope="module")
def models(pictures: list[Image.Image]) -> Iterator[ChatServer]:
    """Brain and eyes, which name the picture's colour."""

    def describe(data_url: str) -> str:
        picture = Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2])))
        pictures.append(picture)
        colour = COLOURS[int(np.asarray(picture.convert("RGB")).mean((0, 1)).argmax())]
        return f"Something {colour}."

    with serving(ChatServer(reply, describe)) as server:
        yield server


@pytest.fixture(scope="module")
def seeing(
    assets_dir: Path, models: ChatServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A machine with eyes."""
    settings = {
        **models.settings(),
        "XSTREAMER_THINKER_EYES": "openai",
        "XSTREAMER_THINKER_EYES_MODEL": "painter",
        "XSTREAMER_THINKER_EYES_WAIT_S": "10",
    }
    running = start_stack(tmp_path_factory.mktemp("seeing"), settings=settings)
    yield running
    stop_stack(running)


async def test_the_avatar_sees_while_the_camera_is_on_and_the_caller_is_told(
    seeing: Stack, pictures: list[Image.Image], browser: CallbenchConfig
) -> None:
    pictures.clear()
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
        promise(not pictures, "a picture of a camera that was never on")
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
        (picture,) = pictures
        assert max(picture.size) <= 512
        assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.02)

        await camera.click()
        await page.type_message("And with your eyes shut?")
        await captions.get_by_text("I cannot see you.").nth(1).wait_for(timeout=ANSWER_WITHIN_MS)
        promise(len(pictures) == 1, "a picture of a camera that was switched off")
        await page.end()
        assert not caller.complaints
