"""Files made to hurt: bombs, polyglots, hidden data. None takes the Actor down or stays in it."""

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

from actor_server.portrait import decoding_process
from actor_server.portrait.decoding_process import PictureDecoder, _picture
from actor_server.portrait.intake import PortraitIntake
from actor_server.portrait.refusal import PortraitRefused
from tests.unit.actor_server.conftest import default_picture

pytestmark = pytest.mark.unit


@pytest.fixture
def decoder() -> Iterator[PictureDecoder]:
    decoder = PictureDecoder()
    yield decoder
    decoder.close()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    body = chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    """So many zeros, compressed a thousand times."""
    squeeze = zlib.compressobj(9)
    parts = [squeeze.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, squeeze.flush()])


def refusal(decoder: PictureDecoder, data: bytes) -> PortraitRefused:
    with pytest.raises(PortraitRefused) as refused:
        decoder.decode(data)
    assert len(refused.value.hint) > 20
    return refused.value


def test_a_good_picture_comes_through_unchanged(decoder: PictureDecoder) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 30, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    for _ in range(2):
        np.testing.assert_array_equal(decoder.decode(file.getvalue()), pixels)


def test_a_bomb_of_more_pixels_than_are_taken_is_refused_by_its_header(
    decoder: PictureDecoder,
) -> None:
    bomb = png(11_900, 11_900, zeros(64 << 20))
    assert len(bomb) < 100_000
    assert refusal(decoder, bomb).code == "too_large"


def test_a_picture_that_needs_too_much_memory_costs_its_own_process_only(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "actor_server.portrait.decoding_process.MEMORY_LIMIT_BYTES = 200 * 1024 ** 2"
    run = f"import actor_server.portrait.decoding_process; {limit}; {_MAIN}"
    monkeypatch.setattr(decoding_process, "_start", lambda: _worker(run))
    decoder.close()
    decoder._next = _worker(run)
    bomb = png(7000, 7000, zeros(7000 * 28_001))
    assert len(bomb) < 300_000
    assert refusal(decoder, bomb).code == "too_large"


def test_a_process_that_never_answers_is_ended(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding_process, "TIME_LIMIT_S", 0.3)
    decoder.close()
    stuck = decoder._next = _worker("import time; time.sleep(600)")
    assert refusal(decoder, b"x" * 100).code == "too_large"
    assert stuck.poll() is not None


def test_a_process_that_dies_is_a_refusal_and_the_next_picture_goes_through(
    decoder: PictureDecoder,
) -> None:
    decoder.close()
    decoder._next = _worker("import os, sys; sys.stdin.buffer.read(); os.abort()")
    assert refusal(decoder, b"x" * 100).code == "too_large"
    assert decoder.decode(default_picture("mara")).ndim == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"[]\n",
        b'{"size": [1, 1]}\n' + bytes(4),
        b'{"size": [1, 1]}\n',
        b'{"size": [-1, -1]}\n' + bytes(3),
        b'{"size": [100000, 1]}\n' + bytes(300_000),
        b'{"size": ["a", 1]}\n',
        b'{"size": 3}\n',
        b'{"code": "ok", "hint": ""}\n',
        b'{"code": ["no_face"]}\n',
        b"x" * 10_000,
    ],
)
def test_answers_that_no_honest_process_gives_are_not_believed(answer: bytes) -> None:
    with pytest.raises(PortraitRefused) as refused:
        _picture(answer)
    assert refused.value.code == "not_an_image"


def test_the_process_knows_no_secret_and_each_picture_gets_another(
    decoder: PictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XSTREAMER_ACTOR_CURVE_SECRET_KEY", "secret")
    first = decoder._next
    decoder.decode(default_picture("mara"))
    second = decoder._next
    assert first.pid != second.pid
    assert first.poll() is not None
    environment = psutil.Process(second.pid).environ()
    assert "XSTREAMER_ACTOR_CURVE_SECRET_KEY" in os.environ
    assert not [name for name in environment if name.startswith("XSTREAMER")]


def test_the_process_really_is_limited() -> None:
    look = "import resource as r; print(r.getrlimit(r.RLIMIT_AS), r.getrlimit(r.RLIMIT_CPU))"
    limited = "from actor_server.portrait.decoding_process import limit_this_process as l; l()"
    worker = _worker(f"{limited}; {look}")
    output, _ = worker.communicate()
    assert output.decode().strip() == f"{(1024**3,) * 2} {(10, 10)}"


def with_place(picture: Image.Image) -> bytes:
    """A JPEG that says where and by whom it was taken, with a second file behind its end."""
    exif = Image.Exif()
    exif[0x013B] = "Ada Lovelace"
    exif.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 26.0), 3: "W", 4: (0.0, 7.0, 39.0)})
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif, comment=b"a secret comment")
    return file.getvalue() + b"PK\x03\x04<script>alert(1)</script>"


def test_of_an_upload_nothing_but_pixels_is_kept(intake: PortraitIntake) -> None:
    upload = with_place(Image.open(io.BytesIO(default_picture("mara"))).convert("RGB"))
    assert Image.open(io.BytesIO(upload)).getexif().get_ifd(0x8825)[1] == "N"
    kept = intake.check(upload).crop_png()
    assert kept is not None
    picture = Image.open(io.BytesIO(kept))
    picture.load()
    assert (picture.format, dict(picture.getexif()), picture.info) == ("PNG", {}, {})
    for hidden in (b"Lovelace", b"secret comment", b"<script>", b"Exif", b"GPS"):
        assert hidden not in kept


def _worker(program: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
    )


_MAIN = "actor_server.portrait.decoding_process.main()"
