"""The law of the codec: frames are refused with MessageError, or are a message that survives."""

from collections.abc import Sequence

import numpy as np

from proto.codec import decode, encode
from proto.message import Message, MessageError
from proto.tensor import Frame

LONGEST_REASON = 2000


def obeys(frames: Sequence[Frame]) -> bool:
    """Whether these frames are a message; anything but a clean refusal is an error that raises."""
    try:
        message = decode(frames)
    except MessageError as refusal:
        if len(str(refusal)) > LONGEST_REASON:
            raise AssertionError("a reason is sent back, so it is short") from refusal
        return False
    assert same(decode(encode(message)), message), "a message that was taken must survive"
    return True


def same(one: Message, other: Message) -> bool:
    """Equal, tensors byte by byte."""
    if type(one) is not type(other):
        return False
    for name in type(one).model_fields:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
                return False
        elif a != b:
            return False
    return True
