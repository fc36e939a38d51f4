"""Callers for the tests, and what one says and looks like in a call."""

import asyncio
import io
from collections.abc import Awaitable, Callable

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from services.callbench.config import CallbenchConfig
from services.callbench.recording import THUMB_PIXELS, CallRecording
from tests.conftest import Stack


@pytest.fixture(scope="session")
def browser() -> CallbenchConfig:
    """The Chromium of this machine; the tests are worth nothing without it."""
    config = CallbenchConfig()
    if not config.chromium:
        pytest.fail("Chromium is missing. Debian: apt-get install chromium")
    return config


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> int:
    """Which try of this test it is, from 1."""
    return int(getattr(request.node, "execution_count", 1))


@pytest.fixture
def rest(stack: Stack) -> httpx.AsyncClient:
    """The machine's REST interface."""
    return httpx.AsyncClient(base_url=stack.gateway_url, timeout=20, trust_env=False)


async def eventually(
    check: Callable[[], Awaitable[bool]], patience_s: float, what: str, every_s: float = 0.25
) -> None:
    """Wait until the check holds; fails with `what` when it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not await check():
        assert loop.time() < deadline, f"not within {patience_s:.0f} s: {what}"
        await asyncio.sleep(every_s)


def likeness(call: CallRecording, preview_png: bytes) -> float:
    """Correlation of what was shown (the middle frame) with a portrait's picture, -1 to 1."""
    shown = call.frames.thumbs[len(call.frames.thumbs) // 2]
    return float(np.corrcoef(shown.ravel(), thumbnail(preview_png).ravel())[0, 1])


def thumbnail(image: bytes) -> NDArray[np.uint8]:
    """A picture as small and grey as the frames of a recording."""
    with Image.open(io.BytesIO(image)) as picture:
        small = picture.convert("L").resize((THUMB_PIXELS, THUMB_PIXELS))
    return np.asarray(small)
