"""What servers send in the middle of an answer."""

import json

import httpx
import pytest

from thinker_server.brain.brain import ChatMessage
from thinker_server.brain.openai_brain import OpenAIBrain
from thinker_server.errors import BrainUnavailable

pytestmark = pytest.mark.unit


async def answer(*events: str) -> str:
    return await answer_of(200, "".join(f"data: {event}\n\n" for event in events))


async def answer_of(status: int, body: str) -> str:
    brain = OpenAIBrain("http://10.0.0.5/v1", "model", "sk-secret", 40)

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text=body)

    brain.client = httpx.AsyncClient(transport=httpx.MockTransport(respond))
    pieces = [token.text async for token in brain.open().reply([ChatMessage("user", "Hello?")])]
    await brain.close()
    return "".join(pieces)


async def test_words_are_put_together_and_events_without_any_are_passed_over() -> None:
    said = await answer(
        '{"choices":[{"delta":{"role":"assistant"}}]}',
        '{"choices":[{"delta":{"content":"It is "}}]}',
        '{"choices":[{"delta":null}]}',
        '{"choices":[]}',
        '{"choices":[{"delta":{"content":"Paris."}}]}',
        "[DONE]",
    )
    assert said == "It is Paris."


@pytest.mark.parametrize(
    "event",
    [
        '{"error":{"message":"the context is full"}}',
        '{"error":"the context is full"}',
        '{"choices":7}',
        '{"choices":[7]}',
        "7",
        "the context is full",
    ],
)
async def test_an_error_in_the_middle_of_an_answer_is_no_silence(event: str) -> None:
    with pytest.raises(BrainUnavailable, match=r"the chat server (failed|sent no JSON event)"):
        await answer('{"choices":[{"delta":{"content":"It is "}}]}', event)


SECRETS = ("10.0.0.5", "sk-secret", "Hello?", "you said")


@pytest.mark.parametrize(
    ("status", "told", "named"),
    [
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, "401 (invalid_request"),
        (400, {"type": "you said Hello?", "code": 7}, "refused with 400;"),
        (500, "sk-secret", "refused with 500;"),
    ],
)
async def test_a_refusal_says_its_name_and_repeats_neither_words_nor_keys_nor_addresses(
    status: int, told: object, named: str
) -> None:
    if isinstance(told, dict):
        told = {**told, "message": "key sk-secret of 10.0.0.5: you said Hello?"}
    with pytest.raises(BrainUnavailable) as refused:
        await answer_of(status, json.dumps({"error": told}))
    with pytest.raises(BrainUnavailable) as broken_off:
        await answer(json.dumps({"error": told}))
    assert named in str(refused.value)
    for secret in SECRETS:
        assert secret not in f"{refused.value} {broken_off.value}"


@pytest.mark.parametrize("body", ["<html>Hello?</html>", "[" * 5000, '{"error": null}', "[]", ""])
async def test_a_refusal_of_any_form_is_told(body: str) -> None:
    with pytest.raises(BrainUnavailable, match="refused with 503;"):
        await answer_of(503, body)
