"""Messages in a file, one after another: what the wire carries, for programs that run later.

Layout, little-endian: for each message the number of its frames (u32), then each frame behind its
length (u64).
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from proto.codec import decode, encode
from proto.message import Message, MessageError

_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")


def write_messages(path: Path, messages: Iterable[Message]) -> None:
    """Write a whole file; it appears under its name only when it is complete."""
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as file:
        for message in messages:
            frames = encode(message)
            file.write(_COUNT.pack(len(frames)))
            for frame in frames:
                content = memoryview(frame).cast("B")
                file.write(_LENGTH.pack(len(content)))
                file.write(content)
    unfinished.replace(path)


def read_messages(path: Path) -> list[Message]:
    """All messages of a file. Raises MessageError when it is no such file."""
    content = path.read_bytes()
    try:
        return list(_messages(content))
    except struct.error:
        raise MessageError(f"{path} ends in the middle of a message") from None


def _messages(content: bytes) -> Iterator[Message]:
    at = 0
    while at < len(content):
        (count,) = _COUNT.unpack_from(content, at)
        at += _COUNT.size
        frames = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(content, at)
            at += _LENGTH.size
            frames.append(content[at : at + length])
            at += length
        yield decode(frames)
