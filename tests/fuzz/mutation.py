"""Hostile changes to a message's frames: bits, lengths, order, number, and what the JSON says."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

CHANGES_AT_ONCE = (1, 1, 1, 2, 4)

# Numbers at the edges of every type on the way, and what is no number, no text and no shape.
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31 - 1,
    2**31,
    2**62,
    2**63,
    2**64,
    10**30,
    10**400,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "é" * 300,
    "x" * 40_000,
    "../../etc/passwd",
    [],
    {},
    [[[[]]]],
    [2**62, 2**62],
    [0, 10**30, 80],
    [999] * 500,
    [{}] * 300,
    {str(n): n for n in range(300)},
    {"frame": 0, "dtype": "object", "shape": [1]},
    {"frame": -1, "dtype": "int16", "shape": [320]},
)
RAW = (
    b"[" * 3000,
    b'{"a":' * 3000,
    b'"\\ud800"',
    b"9" * 5000,
    b"\xff\xfe",
    b"NaN",
    b"-Infinity",
    b"1e99999",
    b'{"session_id":"a","session_id":"b"}',
)


def mutate(frames: list[bytes], chance: Random) -> list[bytes]:
    """Some frames with a few changes."""
    frames = list(frames)
    for _ in range(chance.choice(CHANGES_AT_ONCE)):
        chance.choice(CHANGES)(frames, chance)
    return frames


def _flip(frames: list[bytes], chance: Random) -> None:
    if frames and (at := _one(frames, chance)) is not None and frames[at]:
        changed = bytearray(frames[at])
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        frames[at] = bytes(changed)


def _cut(frames: list[bytes], chance: Random) -> None:
    if (at := _one(frames, chance)) is not None:
        frames[at] = frames[at][: chance.randint(0, len(frames[at]))]


def _lengthen(frames: list[bytes], chance: Random) -> None:
    if (at := _one(frames, chance)) is not None:
        frames[at] += chance.choice((b"\x00", b" ", b"}", b"\xff" * 100))


def _remove(frames: list[bytes], chance: Random) -> None:
    if (at := _one(frames, chance)) is not None:
        del frames[at]


def _double(frames: list[bytes], chance: Random) -> None:
    if (at := _one(frames, chance)) is not None:
        frames.insert(chance.randint(0, len(frames)), frames[at])


def _swap(frames: list[bytes], chance: Random) -> None:
    if frames:
        a, b = chance.randrange(len(frames)), chance.randrange(len(frames))
        frames[a], frames[b] = frames[b], frames[a]


def _splice(frames: list[bytes], chance: Random) -> None:
    if len(frames) > 2:
        text = frames[2]
        a, b = sorted(chance.randint(0, len(text)) for _ in range(2))
        frames[2] = text[:a] + chance.choice(RAW) + text[b:]


def _say(frames: list[bytes], chance: Random) -> None:
    """Put a hostile value somewhere into the header."""
    try:
        header = json.loads(frames[2])
    except (IndexError, ValueError, RecursionError):
        return
    places = list(_places(header))
    if places:
        holder, key = chance.choice(places)
        holder[key] = chance.choice(HOSTILE)
    if isinstance(header, dict) and chance.random() < 0.1:
        header[chance.choice(("extra", "", "__class__", "frame"))] = chance.choice(HOSTILE)
    frames[2] = json.dumps(header).encode()


def _places(value: Any) -> Any:
    """(container, key) of everything inside a JSON value."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, found in list(inside):
        yield value, key
        yield from _places(found)


def _one(frames: list[bytes], chance: Random) -> int | None:
    return chance.randrange(len(frames)) if frames else None


CHANGES: tuple[Callable[[list[bytes], Random], None], ...] = (
    _flip,
    _cut,
    _lengthen,
    _remove,
    _double,
    _swap,
    _splice,
    _say,
    _say,
    _say,
)
