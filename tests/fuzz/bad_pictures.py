"""Pictures that no camera makes: broken, lying about their size or kind, or merely odd.

The same number gives the same file. None is meant to be recognised as this or that: what is asked
of each is a verdict.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

import numpy as np
from PIL import Image

PORTRAITS = ("mara", "daniel", "priya")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
LONGEST_SIDE = 400


def bad_picture(number: int) -> tuple[str, bytes]:
    """The family and the file of a number."""
    family = FAMILIES[number % len(FAMILIES)]
    return family.__name__.strip("_"), family(Random(number))


@cache
def _portrait(name: str) -> Image.Image:
    file = io.BytesIO((files("gateway") / "data" / "portraits" / f"{name}.jpg").read_bytes())
    picture = Image.open(file).convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return picture


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@cache
def _good(name: str, kind: str) -> bytes:
    return _saved(_portrait(name), kind)


def _any_good(chance: Random) -> bytes:
    return _good(chance.choice(PORTRAITS), chance.choice(FORMATS))


def _noise(chance: Random, count: int) -> bytes:
    return chance.randbytes(count)


def _truncated(chance: Random) -> bytes:
    whole = _any_good(chance)
    return whole[: chance.randrange(len(whole))]


def _flipped(chance: Random) -> bytes:
    """A valid file with some wrong bits, most of them in its first bytes, where the tables are."""
    changed = bytearray(_any_good(chance))
    for _ in range(chance.choice((1, 3, 20, 200))):
        reach = chance.choice((64, 1024, len(changed)))
        changed[chance.randrange(min(reach, len(changed)))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _torn(chance: Random) -> bytes:
    """A run of bytes replaced: by nothing, by zeros, by noise, by a part of itself."""
    whole = _any_good(chance)
    a, b = sorted(chance.randrange(len(whole)) for _ in range(2))
    middle = chance.choice((b"", bytes(b - a), _noise(chance, min(b - a, 5000)), whole[:a]))
    return whole[:a] + middle + whole[b:]


def _wrong_magic(chance: Random) -> bytes:
    magic = chance.choice((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0"))
    return magic + _any_good(chance)[chance.choice((0, 8, 64)) :]


def _only_magic(chance: Random) -> bytes:
    riff = b"RIFF" + struct.pack("<I", chance.randrange(2**32)) + b"WEBP" + b"VP8 "
    magic = chance.choice((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"MM\0*", riff))
    return magic + _noise(chance, chance.choice((0, 10, 3000)))


def _polyglot(chance: Random) -> bytes:
    """A picture that is also a script, a page, a document or an archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("../../evil.sh"), "rm -rf /")  # of 1980, not of now
    script = b"GIF89a/*" + _good("mara", "GIF")[8:] + b"*/=1;alert(1)//"
    page = _any_good(chance) + b"<html><script>alert(1)</script></html>"
    pdf = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n" + _good("daniel", "JPEG")
    inside = b"\xff\xd8\xff\xfe\x00\x10<?php x(); ?>" + _good("daniel", "JPEG")[2:]
    with_archive = _any_good(chance) + archive.getvalue()
    return chance.choice((script, page, pdf, inside, with_archive, archive.getvalue()))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


@cache
def whole_bomb(channels: int) -> bytes:
    """49 million pixels, just below the limit, in a hundred kilobytes or two."""
    head = struct.pack(">IIBBBBB", 7_000, 7_000, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = zlib.compress(bytes(7_000 * (7_000 * channels + 1)), 1)
    whole = _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + whole


def _bomb(chance: Random) -> bytes:
    """Few bytes that claim, or truly hold, very many pixels."""
    if chance.random() < 0.1:
        return whole_bomb(chance.choice((1, 3, 4)))
    width, height = chance.choice(
        ((60_000, 60_000), (2**31 - 1, 1), (11_999, 4_100), (1, 2**31 - 1), (7_000, 7_000))
    )
    head = struct.pack(">IIBBBBB", width, height, 8, chance.choice((0, 2, 6)), 0, 0, 0)
    pixels = zlib.compress(bytes(20_000_000), 9)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels)
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000), 9))
    gif = b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x80\0\0" + bytes(6) + b";"
    canvas = struct.pack("<I", 16_382)[:3]
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + canvas
    webp = b"RIFF" + struct.pack("<I", len(vp8x) + 4) + b"WEBP" + vp8x
    bmp = b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 50_000, 50_000, 1, 24, 0) + bytes(60)
    return chance.choice((png, png[:33] + text + png[33:] + _chunk(b"IEND", b""), gif, webp, bmp))


def _animated(chance: Random) -> bytes:
    side = chance.choice((1, 40, 300))
    frames = [
        Image.fromarray(np.full((side, side, 3), n % 256, np.uint8))
        for n in range(chance.choice((2, 100, 400)))
    ]
    kind = chance.choice(("GIF", "PNG", "WEBP", "TIFF"))
    return _saved(frames[0], kind, save_all=True, append_images=frames[1:])


def _tiny(chance: Random) -> bytes:
    shape = chance.choice(((1, 1), (1, 3000), (3000, 1), (63, 63), (2, 2)))
    return _saved(Image.new("RGB", shape, chance.choice(("red", "white"))), chance.choice(FORMATS))


def _odd_mode(chance: Random) -> bytes:
    """CMYK, 16 bits, floats, palettes with alpha, two colours: of a real portrait."""
    picture = _portrait(chance.choice(PORTRAITS))
    grey = np.asarray(picture.convert("L"))
    paletted = picture.convert("P")
    paletted.info["transparency"] = bytes(range(256))
    light = grey.astype(np.float32) * chance.choice((1, 1e30, -1, float("nan")))
    return chance.choice(
        (
            lambda: _saved(picture.convert("CMYK"), chance.choice(("JPEG", "TIFF"))),
            lambda: _saved(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
            lambda: _saved(Image.fromarray(light), "TIFF"),
            lambda: _saved(Image.fromarray(grey.astype(np.int32) * 9_000_000), "TIFF"),
            lambda: _saved(paletted, "PNG", transparency=bytes(range(256))),
            lambda: _saved(picture.convert("RGBA"), chance.choice(("PNG", "WEBP", "TIFF"))),
            lambda: _saved(picture.convert("LA"), chance.choice(("PNG", "TIFF"))),
            lambda: _saved(picture.convert("1"), chance.choice(("PNG", "TIFF", "BMP"))),
            lambda: _saved(picture.convert("LAB"), "TIFF"),
            lambda: _saved(picture.convert("YCbCr"), chance.choice(("JPEG", "TIFF"))),
        )
    )()


def _bad_exif(chance: Random) -> bytes:
    """An orientation that is none, or a block that is no EXIF at all."""
    exif = Image.Exif()
    exif[0x0112] = chance.choice((0, 9, 65_535, 6, 8))
    block = chance.choice(
        (
            exif.tobytes(),
            b"Exif\0\0" + _noise(chance, 60),
            b"Exif\0\0MM\0*" + struct.pack(">I", 2**32 - 1),
            b"Exif\0\0II*\0" + struct.pack("<IH", 8, 65_535) + _noise(chance, 400),
            _entry(chance),
            b"",
        )
    )
    return _saved(_portrait(chance.choice(PORTRAITS)), chance.choice(("JPEG", "WEBP")), exif=block)


def _entry(chance: Random) -> bytes:
    """EXIF with one orientation of a type and a count that no orientation has."""
    kind, count = chance.randrange(14), chance.choice((0, 1, 2, 2**31, 2**32 - 1))
    value = chance.randrange(2**32)
    return b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, kind, count, value, 0)


def _bad_profile(chance: Random) -> bytes:
    profile = chance.choice((b"", b"\0" * 128, _noise(chance, 500), b"acsp" * 100))
    picture = _portrait(chance.choice(PORTRAITS))
    kind = chance.choice(("JPEG", "PNG", "WEBP", "TIFF"))
    if kind in ("JPEG", "TIFF") and chance.random() < 0.3:
        picture = picture.convert("CMYK")
    return _saved(picture, kind, icc_profile=profile)


def _bad_tags(chance: Random) -> bytes:
    """A TIFF whose directory says what it likes."""
    entries = b"".join(
        struct.pack(
            "<HHII",
            chance.choice((256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 339, 34675)),
            chance.randrange(16),
            chance.choice((0, 1, 2, 3, 2**16, 2**32 - 1)),
            chance.choice((0, 1, 8, 100, 5000, chance.randrange(2**32))),
        )
        for _ in range(20)
    )
    return b"II*\0" + struct.pack("<IH", 8, 20) + entries + bytes(4) + _noise(chance, 2000)


def _foreign(chance: Random) -> bytes:
    """Kinds that are not taken: drawings, phones' own, documents, programs."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    entity = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>'
    heic = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + _noise(chance, 500)
    avif = _saved(_portrait("mara"), "AVIF")
    jpeg2000 = _saved(_portrait("mara"), "JPEG2000")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(%pipe%id) (r) file\n"
    ico = _saved(_portrait("mara"), "ICO")
    elf = b"\x7fELF" + _noise(chance, 300)
    return chance.choice((svg, entity, heic, avif, jpeg2000, eps, ico, elf, b"P6 9 9 255\n"))


def _nothing(chance: Random) -> bytes:
    return chance.choice((b"", b"\0", b"\0" * 5000, b" ", b"null", _noise(chance, 4000)))


FAMILIES: tuple[Callable[[Random], bytes], ...] = (
    _truncated,
    _flipped,
    _torn,
    _wrong_magic,
    _only_magic,
    _polyglot,
    _bomb,
    _animated,
    _tiny,
    _odd_mode,
    _bad_exif,
    _bad_profile,
    _bad_tags,
    _foreign,
    _nothing,
)
