"""Any OpenAI-compatible server as a brain, over server-sent events. It gives no hidden states."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import httpx

from thinker_server.brain.brain import BrainLabel, BrainToken, ChatMessage, Conversation
from thinker_server.errors import BrainUnavailable
from thinker_server.openai_problems import named, refusal

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
"""A cold server may load its model before the first word."""
WORDS_TO_TOKENS = 1.4
NO_TOKEN = -1


class OpenAIBrain:
    """Speaks `POST {base_url}/chat/completions` with stream=true."""

    def __init__(self, base_url: str, model: str, api_key: str, max_tokens: int) -> None:
        self.label = BrainLabel(name=model, why=f"configured: brain = openai, at {base_url}")
        self.model = model
        self.max_tokens = max_tokens
        self.url = f"{base_url.rstrip('/')}/chat/completions"
        self.client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )

    def open(self) -> Conversation:
        """Conversations have no memory here: the server is sent all messages each time."""
        return _RemoteConversation(self)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """An estimate: the server's tokenizer is unknown."""
        return round(sum(len(message.text.split()) + 4 for message in messages) * WORDS_TO_TOKENS)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


class _RemoteConversation:
    """Requests to the server; closing the generator drops the connection, which stops it."""

    def __init__(self, brain: OpenAIBrain) -> None:
        self._brain = brain

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[BrainToken, None]:
        """Pieces of the answer as the server streams them. Raises BrainUnavailable."""
        brain = self._brain
        body = {
            "model": brain.model,
            "messages": [{"role": m.role, "content": m.text} for m in messages],
            "stream": True,
            "temperature": 0,
            "max_tokens": brain.max_tokens,
        }
        try:
            async with brain.client.stream("POST", brain.url, json=body) as answer:
                await _check(answer)
                async with aclosing(_pieces(answer)) as pieces:
                    async for piece in pieces:
                        yield BrainToken(NO_TOKEN, piece)
        except httpx.HTTPError as error:
            raise BrainUnavailable(
                f"the chat server does not answer ({type(error).__name__}); start it, or correct "
                "openai_base_url in [thinker] of xstreamer.toml"
            ) from error

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """Nothing to do: the server keeps its own cache."""

    async def close(self) -> None:
        """Nothing to free."""


async def _check(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        why = refusal(answer.status_code, await answer.aread())
        raise BrainUnavailable(
            f"the chat server refused with {why}; check openai_model and "
            "openai_api_key in [thinker] of xstreamer.toml"
        )


async def _pieces(answer: httpx.Response) -> AsyncGenerator[str, None]:
    """Text of each `data:` event (WHATWG server-sent events), until [DONE]."""
    async for line in answer.aiter_lines():
        if not line.startswith("data:"):
            continue
        event = line.removeprefix("data:").strip()
        if event == "[DONE]":
            return
        if text := _text_of(event):
            yield text


def _text_of(event: str) -> str:
    """What an event adds to the answer. Raises BrainUnavailable, also for errors that servers
    send in the middle of an answer.
    """
    try:
        told = json.loads(event)
        if problem := told.get("error"):
            raise BrainUnavailable(f"the chat server failed{named(problem)}")
        choices = told.get("choices") or [{}]
        return str((choices[0].get("delta") or {}).get("content") or "")
    except (json.JSONDecodeError, AttributeError, LookupError, TypeError) as error:
        raise BrainUnavailable("the chat server sent no JSON event") from error
