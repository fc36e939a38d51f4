"""Eyes behind an OpenAI-compatible server: what they send, and what goes wrong."""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from thinker_server.errors import EyesUnavailable
from thinker_server.seeing.openai_eyes import OpenAIEyes

pytestmark = pytest.mark.unit

Asked = list[tuple[web.Request, Any]]
PICTURE = Image.new("RGB", (64, 36), (200, 30, 30))


@asynccontextmanager
async def served(answer: object, status: int = 200) -> AsyncIterator[tuple[OpenAIEyes, Asked]]:
    """Eyes at a server that answers this; the list fills with (request, its JSON)."""
    asked: Asked = []

    async def complete(request: web.Request) -> web.Response:
        asked.append((request, await request.json()))
        return web.Response(text=json.dumps(answer), status=status)

    application = web.Application()
    application.add_routes([web.post("/v1/chat/completions", complete)])
    async with TestServer(application) as server:
        eyes = OpenAIEyes(str(server.make_url("/v1/")), "a-model", "a-key", max_tokens=20)
        try:
            yield eyes, asked
        finally:
            await eyes.close()


async def test_the_picture_goes_as_a_data_url_and_the_words_come_back() -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "A red wall."}}]}
    async with served(answer) as (eyes, asked):
        assert await eyes.describe(PICTURE) == "A red wall."
    request, body = asked[0]
    assert request.headers["Authorization"] == "Bearer a-key"
    assert (body["model"], body["max_tokens"]) == ("a-model", 20)
    shown, instruction = body["messages"][0]["content"]
    kind, encoded = shown["image_url"]["url"].split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (64, 36)
    assert instruction["text"]


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ({"error": "no such model"}, 404, "refused with 404;"),
        ({"error": {"code": "model_not_found"}}, 404, r"404 \(model_not_found\);"),
        ({"choices": []}, 200, "no chat completion"),
        ([], 200, "no chat completion"),
    ],
)
async def test_an_answer_that_is_none_says_what_to_check(
    answer: object, status: int, reason: str
) -> None:
    async with served(answer, status) as (eyes, _):
        with pytest.raises(EyesUnavailable, match=reason):
            await eyes.describe(PICTURE)


async def test_where_a_server_is_not_there_it_says_what_to_do() -> None:
    eyes = OpenAIEyes("http://127.0.0.1:9/v1", "m", "", max_tokens=20)
    with pytest.raises(EyesUnavailable, match="correct eyes_base_url") as told:
        await eyes.describe(PICTURE)
    assert "127.0.0.1" not in str(told.value)
    await eyes.close()
