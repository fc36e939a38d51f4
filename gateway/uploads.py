"""Multipart uploads with a limit that holds while the body arrives, in memory only."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Message

from gateway.bodies import content_type, unstalled, unsupported_type
from gateway.errors import GatewayError, wrong_fields
from gateway.portrait_check import too_large
from gateway.schemas import NewAvatar

FIELDS_BYTES = 64 * 1024
"""Room for the text fields and part headers beside the picture."""
MAX_FIELDS = 8
MAX_LENGTH_DIGITS = 19
DRAIN_BYTES = 32 * 1024 * 1024
DRAIN_S = 10.0
"""A refused body is read on and thrown away up to here: a client that is still sending when the
connection closes sees a reset instead of the answer."""

F = TypeVar("F", bound=NewAvatar)


@dataclass(frozen=True)
class PortraitForm:
    """A picture and the raw text fields that came with it."""

    image: bytes
    fields: dict[str, str]

    def read_as(self, model: type[F]) -> F:
        """Raises RequestValidationError (422) naming each field that is wrong."""
        try:
            return model.model_validate(self.fields)
        except ValidationError as error:
            raise wrong_fields(error) from None


async def read_portrait_form(request: Request, limit_bytes: int) -> PortraitForm:
    """Raises GatewayError 413 as soon as the limit is passed, 415 for another content type, 408,
    and 400 for what cannot be read."""
    kind = content_type(request)
    if kind != "multipart/form-data":
        raise unsupported_type(
            kind, "Send the picture as the part `portrait` of a multipart/form-data body."
        )
    body = _LimitedBody(request, limit_bytes + FIELDS_BYTES)
    if body.declared_bytes > body.limit_bytes:
        await body.drain()
        raise too_large(limit_bytes)
    try:
        parts = (await _parse(Request(request.scope, body.receive))).multi_items()
    except _TooMuch:
        await body.drain()
        raise too_large(limit_bytes) from None
    except UnicodeError:
        raise GatewayError(
            400,
            "bad_request",
            "The text fields cannot be read",
            "Send them as UTF-8 and leave `charset` out of the content type.",
        ) from None
    files = [value for name, value in parts if name == "portrait"]
    fields = {name: value for name, value in parts if isinstance(value, str)}
    if len(files) != 1 or not isinstance(files[0], UploadFile):
        raise _missing_portrait()
    image = await files[0].read()
    if len(image) > limit_bytes:
        raise too_large(limit_bytes)
    return PortraitForm(image, fields)


class _InMemory(MultiPartParser):
    """An upload holds more than pixels, such as places: none of it ever is in a file."""

    spool_max_size = 0  # unlimited; the body is


async def _parse(request: Request) -> FormData:
    async with aclosing(request.stream()) as stream:
        try:
            parser = _InMemory(request.headers, stream, max_files=1, max_fields=MAX_FIELDS)
            return await parser.parse()
        except MultiPartException as error:
            raise GatewayError(400, "bad_request", error.message) from None


class _TooMuch(Exception):
    """The body is longer than its limit."""


class _LimitedBody:
    """Counts a request's body while it is received."""

    def __init__(self, request: Request, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        length = request.headers.get("content-length", "")
        self.declared_bytes = int(length[:MAX_LENGTH_DIGITS]) if length.isdecimal() else 0
        self._waits_for_go = request.headers.get("expect", "").lower() == "100-continue"
        self._request = request
        self._received_bytes = 0
        self._complete = False

    async def receive(self) -> Message:
        message = await unstalled(self._request.receive)
        self._received_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._received_bytes > self.limit_bytes:
            raise _TooMuch
        return message

    async def drain(self) -> None:
        """Throw away what the client still sends; nothing when it waits for "100 Continue"."""
        if self._waits_for_go and self._received_bytes == 0:
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self._complete and self._received_bytes < DRAIN_BYTES:
                    message = await self._request.receive()
                    self._received_bytes += len(message.get("body", b""))
                    self._complete = not message.get("more_body", False)
        except TimeoutError:
            return


def _missing_portrait() -> RequestValidationError:
    problem: dict[str, Any] = {
        "loc": ("body", "portrait"),
        "msg": "send one picture file as the part `portrait`",
        "type": "missing",
    }
    return RequestValidationError([problem])
