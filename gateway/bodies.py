"""Request bodies, read by hand: by a route that knows who asks, and no further than a limit.

FastAPI reads the body of a route that declares one before it looks at any key, whatever its length.
"""

import asyncio
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.types import Message, Receive

from gateway.errors import GatewayError, wrong_fields

MAX_JSON_BYTES = 16 * 1024
STALL_S = 15.0

M = TypeVar("M", bound=BaseModel)


def content_type(request: Request) -> str:
    """Without its parameters, in small letters; empty where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported_type(kind: str, advice: str) -> GatewayError:
    """415 for a body of another content type."""
    problem = f"The body is {kind or 'of no type'}"
    return GatewayError(415, "unsupported_media_type", problem, advice)


async def unstalled(receive: Receive) -> Message:
    """The next part of a body: one that stalls would hold a place for a call for ever."""
    try:
        async with asyncio.timeout(STALL_S):
            return await receive()
    except TimeoutError:
        raise GatewayError(
            408, "too_slow", f"Nothing of the body came for {STALL_S:.0f} s", "Try again."
        ) from None


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """A small body, whole. Raises GatewayError 413 as soon as it is longer than that, and 408."""
    body = bytearray()
    patient = Request(request.scope, partial(unstalled, request.receive))
    async for part in patient.stream():
        body += part
        if len(body) > limit_bytes:
            limit = f"Send at most {limit_bytes} bytes."
            raise GatewayError(413, "too_large", "The body is too large", limit)
    return bytes(body)


async def read_json(request: Request, model: type[M]) -> M:
    """A body of application/json as a model.

    Raises RequestValidationError (422) naming each field that is wrong, GatewayError 408, 413, 415.
    """
    kind = content_type(request)
    if kind != "application/json":
        raise unsupported_type(kind, "Send it as application/json.")
    body = await read_body(request, MAX_JSON_BYTES)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise wrong_fields(error) from None


def json_body_docs(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's words (`openapi_extra`) for a route that reads a model; the app adds its schema."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
