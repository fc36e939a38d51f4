"""The same face is told from another, and a blurred one from a sharp one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from actor_server.evaluation.identity import FaceUnseen
from services.paths import REPOSITORY
from services.soak.likeness import LikenessMeter

pytestmark = pytest.mark.integration

PORTRAITS = REPOSITORY / "gateway" / "data" / "portraits"


def portrait(name: str) -> bytes:
    return (PORTRAITS / f"{name}.jpg").read_bytes()


def as_shown(file: bytes, *, blur: float = 0.0) -> bytes:
    """The middle of a portrait as a frame of the call: 256 pixels, PNG."""
    picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    small = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    if blur:
        small = cv2.GaussianBlur(small, (0, 0), blur)
    return bytes(cv2.imencode(".png", small)[1].tobytes())


@pytest.fixture
def meter(assets_dir: Path, tmp_path: Path) -> LikenessMeter:
    return LikenessMeter(assets_dir, portrait("mara"), tmp_path)


def test_the_same_face_is_alike_and_another_is_not(meter: LikenessMeter) -> None:
    assert meter.look(as_shown(portrait("mara")), "000030").portrait > 0.9
    for other in ("daniel", "ingrid", "priya"):
        assert meter.look(as_shown(portrait(other)), "000060").portrait < 0.8


def test_frames_are_compared_with_the_first_and_kept(meter: LikenessMeter, tmp_path: Path) -> None:
    sharp = meter.look(as_shown(portrait("mara")), "000030")
    blurred = meter.look(as_shown(portrait("mara"), blur=2.0), "000090")
    assert sharp.first == pytest.approx(1.0)
    assert blurred.first < sharp.first
    assert blurred.sharpness < sharp.sharpness / 2
    assert [file.name for file in sorted(tmp_path.glob("*.jpg"))] == ["000030.jpg", "000090.jpg"]


def test_a_picture_without_a_face_says_so(meter: LikenessMeter) -> None:
    grey = bytes(cv2.imencode(".png", np.full((256, 256, 3), 128, np.uint8))[1].tobytes())
    for png in (grey, b""):
        with pytest.raises(FaceUnseen):
            meter.look(png, "000030")


def test_a_missing_model_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="assets fetch"):
        LikenessMeter(tmp_path, portrait("mara"), tmp_path)
