"""Any OpenAI-compatible server with a vision-language model as eyes."""

import base64
import io
import json

import httpx
from PIL import Image

from thinker_server.errors import EyesUnavailable
from thinker_server.openai_problems import refusal
from thinker_server.seeing.eyes import INSTRUCTION

TIMEOUT_S = 10.0
"""For what the answer no longer waits for, see Glance."""
_WHAT_TO_DO = "in [thinker] of xstreamer.toml"


class OpenAIEyes:
    """Speaks `POST {base_url}/chat/completions` with the picture as a data URL."""

    def __init__(self, base_url: str, model: str, api_key: str, max_tokens: int) -> None:
        self.label = model
        self._model = model
        self._max_tokens = max_tokens
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {}, timeout=TIMEOUT_S
        )

    async def describe(self, picture: Image.Image) -> str:
        """What the picture shows. Raises EyesUnavailable."""
        shown = {"type": "image_url", "image_url": {"url": _data_url(picture)}}
        asked = {"type": "text", "text": INSTRUCTION}
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": [shown, asked]}],
            "temperature": 0,
            "max_tokens": self._max_tokens,
        }
        try:
            answer = await self._client.post(self._url, json=body)
        except httpx.HTTPError as error:
            raise EyesUnavailable(
                f"the vision server does not answer ({type(error).__name__}); start it, correct "
                f'eyes_base_url, or set eyes = "" {_WHAT_TO_DO}'
            ) from error
        return _words(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _data_url(picture: Image.Image) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _words(answer: httpx.Response) -> str:
    if answer.status_code != httpx.codes.OK:
        raise EyesUnavailable(
            f"the vision server refused with {refusal(answer.status_code, answer.content)}; check "
            f"eyes_model and openai_api_key {_WHAT_TO_DO}"
        )
    try:
        words = answer.json()["choices"][0]["message"]["content"]
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise EyesUnavailable("the vision server sent no chat completion") from error
    return words if isinstance(words, str) else ""
