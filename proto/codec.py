"""Messages to and from ZeroMQ frames: magic, kind, JSON header, then one frame for each tensor.

Tensors are little-endian and C-ordered, and are never copied on decode. Refused input never
reaches a process: `decode` raises MessageError with the rule that was broken.
"""

import sys
from collections.abc import Sequence

from pydantic import ValidationError

from proto.message import Message, MessageError
from proto.messages import ALL_MESSAGES
from proto.tensor import Frame, TensorFrames

MAGIC = b"XSTREAMER/1"
MAX_HEADER_BYTES = 1024 * 1024
MAX_TENSORS = 16
MAX_REASONS = 64
MAX_REASON_CHARACTERS = 1000

_KINDS = {cls.__name__: cls for cls in ALL_MESSAGES}

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("the wire format is little-endian and so must this machine be")


def encode(message: Message) -> list[Frame]:
    """Frames of a message. Arrays are sent as they lie when they are contiguous."""
    tensors = TensorFrames()
    header = message.model_dump_json(context=tensors)
    return [MAGIC, type(message).__name__.encode(), header.encode(), *tensors.frames]


def decode(frames: Sequence[Frame]) -> Message:
    """Message of some frames. Raises MessageError when any rule of the protocol is broken."""
    if len(frames) < 3 or bytes(frames[0][: len(MAGIC) + 1]) != MAGIC:
        raise MessageError(f"not a message of this protocol ({MAGIC.decode()})")
    if len(frames) > 3 + MAX_TENSORS:
        raise MessageError(f"{len(frames)} frames, limit {3 + MAX_TENSORS}")
    kind, header = bytes(frames[1][:64]).decode("ascii", "replace"), frames[2]
    if (cls := _KINDS.get(kind)) is None:
        raise MessageError(f"unknown kind {kind!r}")
    if len(header) > MAX_HEADER_BYTES:
        raise MessageError(f"header of {len(header)} bytes, limit {MAX_HEADER_BYTES}")
    tensors = TensorFrames(list(frames[3:]))
    try:
        message = cls.model_validate_json(bytes(header), context=tensors)
    except ValidationError as error:
        raise MessageError(f"{kind} {_first_reason(error)}") from None
    if tensors.used != len(tensors.frames):
        raise MessageError(
            f"{kind}: {len(tensors.frames) - tensors.used} frames belong to no field"
        )
    return message


def _first_reason(error: ValidationError) -> str:
    """Where and why a header is wrong; of very many reasons none, for each costs a kilobyte."""
    if error.error_count() > MAX_REASONS:
        return f"header: {error.error_count()} things are wrong"
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {first['msg']}"[:MAX_REASON_CHARACTERS]
