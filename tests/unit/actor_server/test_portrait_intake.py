"""Every picture gets the right answer, good ones the same crop whatever file they come in."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from actor_server.portrait.intake import PortraitIntake
from actor_server.portrait.verdict import PortraitVerdict
from tests.unit.actor_server.conftest import DEFAULT_AVATARS, default_picture

pytestmark = pytest.mark.unit


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(name: str) -> Image.Image:
    return Image.open(io.BytesIO(default_picture(name))).convert("RGB")


def png_header(width: int, height: int) -> bytes:
    """Return the start of a PNG that claims a size; there are no pixels to decode."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + empty
    )


def landscape() -> Image.Image:
    rows = np.linspace(0, 1, 480)[:, None, None]
    sky, grass = np.array([140, 180, 230]), np.array([60, 120, 50])
    noise = np.random.default_rng(3).normal(0, 12, (480, 640, 3))
    view = np.where(rows < 0.55, sky + 40 * rows, grass * (1.3 - rows)) + noise
    return Image.fromarray(view.clip(0, 255).astype(np.uint8))


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def far_away(name: str, side: int) -> Image.Image:
    wall = Image.new("RGB", (600, 600), (120, 130, 140))
    wall.paste(opened(name).resize((side, side)), (220, 180))
    return wall


def out_of_focus(name: str) -> Image.Image:
    return Image.fromarray(cv2.GaussianBlur(np.asarray(opened(name)), (0, 0), 12))


@pytest.mark.parametrize("name", DEFAULT_AVATARS)
def test_every_default_avatar_is_accepted(intake: PortraitIntake, name: str) -> None:
    verdict = intake.check(default_picture(name))

    assert verdict.ok, verdict.hint
    assert verdict.code == "ok"
    assert verdict.crop is not None
    assert verdict.crop.shape == (512, 512, 3)
    assert verdict.portrait is not None
    face = verdict.portrait.landmarks
    assert 0.40 < np.linalg.norm(face[10, :2] - face[152, :2]) / 512 < 0.52
    assert verdict.checks["person_score"] > 0.85


def refused_files() -> dict[str, tuple[bytes, str]]:
    photo = default_picture("mara")
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    return {
        "text.jpg": (b"I am not a picture, whatever my name says.\n" * 40, "not_an_image"),
        "nothing": (b"", "not_an_image"),
        "svg": (svg, "not_an_image"),
        "truncated": (photo[: len(photo) // 2], "not_an_image"),
        "header only": (png_header(300, 300), "not_an_image"),
        "1x1": (saved(Image.new("RGB", (1, 1))), "too_small"),
        "20k x 20k": (png_header(20_000, 20_000), "too_large"),
        "long strip": (png_header(30_000, 40), "too_large"),
        "no face": (saved(Image.new("RGB", (512, 512), (90, 110, 130))), "no_face"),
        "landscape": (saved(landscape()), "no_face"),
        "two faces": (saved(beside(opened("mara"), opened("tomas")), "JPEG"), "many_faces"),
        "face too small": (saved(far_away("mara", 70)), "too_small"),
        "on its side": (saved(opened("ingrid").rotate(90)), "too_turned"),
        "out of focus": (saved(out_of_focus("kenji")), "blurred"),
    }


@pytest.mark.parametrize("case", refused_files())
def test_a_bad_picture_is_refused_with_its_code_and_a_hint(
    intake: PortraitIntake, case: str
) -> None:
    image, code = refused_files()[case]

    verdict = intake.check(image)

    assert (verdict.ok, verdict.code) == (False, code), verdict
    assert len(verdict.hint) > 20
    assert verdict.crop is None
    assert verdict.crop_png() is None


def test_a_file_of_more_than_twenty_megabytes_is_refused_unread(intake: PortraitIntake) -> None:
    assert intake.check(bytes(21 * 1024 * 1024)).code == "too_large"


def exif_rotated(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x112] = 6  # orientation: the top of the picture is at the right
    return saved(picture.rotate(90, expand=True), "JPEG", exif=exif, quality=95)


def sixteen_bit(picture: Image.Image) -> bytes:
    return saved(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257))


def animated(picture: Image.Image, kind: str) -> bytes:
    frames = [picture.rotate(90), picture.rotate(180)]
    return saved(picture, kind, save_all=True, append_images=frames)


def see_through(picture: Image.Image) -> bytes:
    layered = picture.convert("RGBA")
    layered.putalpha(255)
    return saved(layered)


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda p: saved(p.convert("CMYK"), "JPEG", quality=95), id="CMYK"),
        pytest.param(exif_rotated, id="EXIF-rotated"),
        pytest.param(sixteen_bit, id="16-bit"),
        pytest.param(lambda p: saved(p.quantize(256)), id="palette"),
        pytest.param(lambda p: saved(p.convert("L")), id="grey"),
        pytest.param(see_through, id="alpha"),
        pytest.param(lambda p: animated(p, "PNG"), id="animated PNG"),
        pytest.param(lambda p: animated(p, "WEBP"), id="animated WebP"),
    ],
)
def test_unusual_encodings_give_the_same_crop_as_the_plain_file(
    intake: PortraitIntake, encode: Callable[[Image.Image], bytes]
) -> None:
    plain = intake.check(default_picture("kenji"))

    verdict = intake.check(encode(opened("kenji")))

    assert verdict.ok, verdict
    assert brightness_difference(plain, verdict) < 6


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_a_format_that_was_not_asked_for_is_refused_by_name_of_those_that_were(
    intake: PortraitIntake, kind: str
) -> None:
    verdict = intake.check(saved(opened("kenji"), kind))
    assert verdict.code == "not_an_image"
    assert "JPEG, PNG or WebP" in verdict.hint


def brightness_difference(one: PortraitVerdict, other: PortraitVerdict) -> float:
    assert one.crop is not None
    assert other.crop is not None
    return float(np.abs(one.crop.mean(2) - other.crop.mean(2)).mean())


def test_a_transparent_background_becomes_a_plain_wall(intake: PortraitIntake) -> None:
    layered = opened("daniel").convert("RGBA")
    alpha = np.full((layered.height, layered.width), 255, np.uint8)
    alpha[:160] = 0
    layered.putalpha(Image.fromarray(alpha))

    verdict = intake.check(saved(layered))

    assert verdict.crop is not None
    assert verdict.crop[:4].min() > 200


def test_a_face_that_fills_the_picture_gets_surroundings(intake: PortraitIntake) -> None:
    tight = opened("tomas").crop((320, 180, 800, 720))

    verdict = intake.check(saved(tight))

    assert verdict.ok, verdict


def test_preparing_the_crop_again_leaves_it_as_it_is(intake: PortraitIntake) -> None:
    first = intake.check(default_picture("priya"))
    file = first.crop_png()
    assert file is not None

    second = intake.check(file)

    assert first.crop is not None
    assert second.crop is not None
    assert np.array_equal(first.crop, second.crop)


def test_a_drawing_of_a_person_is_accepted(intake: PortraitIntake) -> None:
    photo = np.asarray(opened("ingrid").resize((640, 640)))
    flat = cv2.bilateralFilter(photo, 9, 250, 250) // 48 * 48 + 24
    ink = cv2.adaptiveThreshold(
        cv2.medianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), 7), 255, 0, 0, 9, 2
    )
    drawing = cv2.bitwise_and(flat, cv2.cvtColor(ink, cv2.COLOR_GRAY2RGB))

    assert intake.check(saved(Image.fromarray(drawing))).ok


def test_a_cat_in_which_the_landmarker_sees_a_face_is_not_a_person(
    intake: PortraitIntake,
) -> None:
    cat = Path(__file__).parent / "data" / "cat.jpg"
    assert intake.landmarks(np.asarray(Image.open(cat))).shape == (478, 3)

    verdict = intake.check(cat.read_bytes())

    assert (verdict.ok, verdict.code) == (False, "not_a_person")
    assert "person" in verdict.hint


def test_missing_models_are_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"face_landmarker\.task.*xstreamer doctor"):
        PortraitIntake.from_assets(tmp_path)
