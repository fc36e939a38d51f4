"""What servers send in the middle of an answer."""

import httpx
import pytest

from thinker_server.brain.brain import ChatMessage
from thinker_server.brain.openai_brain import OpenAIBrain
from thinker_server.errors import BrainUnavailable

pytestmark = pytest.mark.unit


async def answer(*events: str) -> str:
    brain = OpenAIBrain("http://server/v1", "model", "", 40)
    body = "".join(f"data: {event}\n\n" for event in events)

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=body)

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
    with pytest.raises(BrainUnavailable, match=r"the context is full|no JSON event"):
        await answer('{"choices":[{"delta":{"content":"It is "}}]}', event)
