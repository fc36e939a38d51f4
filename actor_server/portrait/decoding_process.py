"""Decodes each picture in a process of its own, which may use only so much memory and time.

Decoders are what hostile files aim at: here a bomb costs one process, not the Actor and its calls.
One process a picture, so that nothing of one is there for the next; the next one is started ahead.
It gets a picture and gives pixels or a refusal; it inherits neither sockets nor secrets.
"""

import json
import logging
import math
import os
import resource
import subprocess
import sys
import threading
from typing import Any, Final, get_args

import numpy as np

from actor_server.codec.mesh.prepared import Image
from actor_server.portrait.decoding import WORKING_SIDE, decode_picture
from actor_server.portrait.refusal import PortraitRefused
from proto.portrait_code import PortraitCode

log = logging.getLogger(__name__)

MEMORY_LIMIT_BYTES: Final = 1024**3
"""Addresses, 150 MB of which Python takes. The largest pictures that are taken need 600 MB."""
TIME_LIMIT_S: Final = 10
HEADER_LIMIT_BYTES: Final = 4096
OUTPUT_LIMIT_BYTES: Final = HEADER_LIMIT_BYTES + 3 * WORKING_SIDE**2
INHERITED: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG")

_TOO_MUCH: Final = PortraitRefused(
    "too_large",
    "The picture takes too much memory or time to open. Scale it down and save it again as JPEG: "
    "1024 x 1024 is plenty.",
)
_BROKEN: Final = PortraitRefused(
    "not_an_image", "The picture cannot be opened. Export it again as JPEG and send the new file."
)


class PictureDecoder:
    """Gives one picture after another to processes of their own. Not thread-safe."""

    def __init__(self) -> None:
        self._next = _start()

    def decode(self, data: bytes) -> Image:
        """The picture as (H, W, 3) sRGB. Raises PortraitRefused."""
        if not data:
            raise _BROKEN
        worker = self._next if self._next.poll() is None else _start()
        too_slow = threading.Timer(TIME_LIMIT_S, worker.kill)
        too_slow.start()
        try:
            output = _converse(worker, data)
        finally:
            too_slow.cancel()
            worker.kill()
            status = worker.wait()
            self._next = _start()
        if output is None:
            log.warning("a picture ended its decoder", extra={"status": status})
            raise _TOO_MUCH
        return _picture(output)

    def close(self) -> None:
        """End the process that waits."""
        self._next.kill()
        self._next.communicate()


def _start() -> "subprocess.Popen[bytes]":
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**kept, "OPENBLAS_NUM_THREADS": "1"},
    )


def _converse(worker: "subprocess.Popen[bytes]", data: bytes) -> bytes | None:
    """What the process answers; None when it died. It reads everything before it answers."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with worker.stdin as to_worker, worker.stdout as from_worker:
        try:
            to_worker.write(data)
            to_worker.close()
        except BrokenPipeError:
            return None
        return from_worker.read(OUTPUT_LIMIT_BYTES + 1) or None


def _picture(output: bytes) -> Image:
    """Believe nothing: a process that a picture has taken over may answer anything."""
    header, _, pixels = output.partition(b"\n")
    try:
        answer = json.loads(header[:HEADER_LIMIT_BYTES])
        if "code" in answer:
            code, hint = answer["code"], str(answer["hint"])
            raise PortraitRefused(code, hint) if code in get_args(PortraitCode)[1:] else _BROKEN
        height, width = (int(side) for side in answer["size"])
    except (ValueError, TypeError, KeyError):
        raise _BROKEN from None
    sides_fit = 0 < height <= WORKING_SIDE and 0 < width <= WORKING_SIDE
    if not sides_fit or len(pixels) != math.prod((height, width, 3)):
        raise _BROKEN
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def limit_this_process() -> None:
    """No more memory, time, or files than a picture needs."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_CPU, TIME_LIMIT_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def main() -> None:
    """Read a picture, answer, end. An end of input without one is the end of the Actor."""
    limit_this_process()
    data = sys.stdin.buffer.read()
    if not data:
        return
    answer: dict[str, Any]
    try:
        picture = np.ascontiguousarray(decode_picture(data))
    except PortraitRefused as refused:
        answer, pixels = {"code": refused.code, "hint": refused.hint}, b""
    except MemoryError:
        answer, pixels = {"code": _TOO_MUCH.code, "hint": _TOO_MUCH.hint}, b""
    else:
        answer, pixels = {"size": picture.shape[:2]}, picture.tobytes()
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + pixels)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
