"""Coverage-guided fuzzing of the codec by libFuzzer: python -m tests.fuzz.codec RUNS CORPUS.

An input is a message's frames, packed: tensors as their length and first bytes, for their numbers
matter little and a picture of 786 kB would slow everything down.
"""

import json
import os
import struct
import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["proto"]):
    from proto.codec import encode
    from tests.fuzz.codec_law import obeys

from tests.fuzz.mutation import mutate
from tests.unit.proto.examples import EXAMPLES

KEPT_BYTES = 64
MAX_FRAME_BYTES = 2 * 1024 * 1024
TEXT_FRAMES = 3
_LENGTHS = struct.Struct("<II")
STRUCTURED_SHARE = 0.7
FRESH_SHARE = 0.5
"""Inputs made from an example: pydantic's core reports no coverage that would keep every kind."""


def pack(frames: list[bytes]) -> bytes:
    """An input that `unpack` makes into these frames, but for the numbers of long tensors."""
    packed = bytearray()
    for at, frame in enumerate(frames):
        head = frame if at < TEXT_FRAMES else frame[:KEPT_BYTES]
        packed += _LENGTHS.pack(len(head), len(frame)) + head
    return bytes(packed)


def unpack(packed: bytes) -> list[bytes]:
    """The frames of any bytes."""
    frames, at = [], 0
    while at + _LENGTHS.size <= len(packed):
        kept, length = _LENGTHS.unpack_from(packed, at)
        at += _LENGTHS.size
        head = packed[at : at + kept]
        at += kept
        frames.append(head[:length].ljust(min(length, MAX_FRAME_BYTES), b"\0"))
    return frames


def change(packed: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's next input: mostly a message changed as a message, else any bytes of its own."""
    chance = Random(seed)
    frames = unpack(packed)
    if not frames or chance.random() < FRESH_SHARE:
        frames = [bytes(frame) for frame in encode(chance.choice(EXAMPLES))]
    if chance.random() < STRUCTURED_SHARE:
        return pack(mutate(frames, chance))[:max_size]
    at = chance.randrange(min(len(frames), TEXT_FRAMES))
    frames[at] = atheris.Mutate(frames[at], max(len(frames[at]) * 2, 64))
    return pack(frames)[:max_size]


def main() -> None:
    """Judge so many inputs, tell how many were messages, and end the process as libFuzzer would."""
    runs = int(sys.argv.pop(1))
    counts = {"executions": 0, "accepted": 0}

    def judge(packed: bytes) -> None:
        counts["executions"] += 1
        counts["accepted"] += obeys(unpack(packed))
        if counts["executions"] == runs:
            sys.stdout.write(json.dumps(counts) + "\n")
            sys.stdout.flush()
            os._exit(0)

    atheris.Setup(sys.argv, judge, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
