"""Drawn frames: a face is told from another, blur from sharpness, a head's motion from a brow's."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from actor_server.codec.mesh.latent import (
    BROWS,
    FURROW,
    GAZE,
    LATENT_DIM,
    MOUTH,
    YAW,
    speech_neutral_latent,
)
from actor_server.codec.mesh.prepared import Image
from actor_server.evaluation.cpbd import cpbd, edge_widths
from actor_server.evaluation.identity import FaceRecogniser, FaceUnseen
from actor_server.evaluation.liveliness import Clip
from actor_server.evaluation.rendered import Avatar, Sighting, Watcher, default_avatars
from actor_server.evaluation.rendered_measures import Examiner, RenderedFigures
from actor_server.evaluation.upper_face import upper_face
from actor_server.motion.eyes import CONTACT_YAW
from actor_server.motion.source import Floats

pytestmark = pytest.mark.unit

FRAMES = 16


@pytest.fixture(scope="module")
def avatars(assets_dir: Path) -> list[Avatar]:
    return default_avatars(("mara", "daniel"), assets_dir)


@pytest.fixture(scope="module")
def watcher(avatars: list[Avatar], assets_dir: Path) -> Iterator[Watcher]:
    watcher = Watcher.open(avatars[0], assets_dir)
    yield watcher
    watcher.close()


@pytest.fixture(scope="module")
def examiner(avatars: list[Avatar], assets_dir: Path) -> Examiner:
    avatar, other = avatars
    return Examiner.open(avatar, other.portrait, assets_dir)


def swinging(numbers: list[int], size: float) -> Floats:
    """Latents (F, 31) of which some swing and the others stay."""
    latents = np.tile(speech_neutral_latent(), (FRAMES, 1))
    latents[:, numbers] = size * np.sin(np.linspace(0, 2 * np.pi, FRAMES))[:, None]
    return latents


def measured(watcher: Watcher, examiner: Examiner, latents: Floats) -> RenderedFigures:
    return examiner.examine([watcher.watch(latents)])


def test_head_and_brows_are_told_apart_and_the_mouth_is_neither(
    watcher: Watcher, examiner: Examiner
) -> None:
    head = measured(watcher, examiner, swinging([YAW], 0.1))
    brows = measured(watcher, examiner, swinging([*range(BROWS.start, BROWS.stop)], 1.0))
    mouth = measured(watcher, examiner, swinging([MOUTH.start], 1.5))
    assert (head.frames, head.unseen, head.pictures) == (FRAMES, 0, 1)
    motions = [one.head_motion or 0.0 for one in (head, brows, mouth)]
    expressions = [one.expression or 0.0 for one in (head, brows, mouth)]
    assert motions[0] > 5 * max(motions[1:])
    # landmarks of a head that swings by 4 degrees SD are not quite those of one that does not
    assert expressions[1] > 1.5 * max(expressions[0], expressions[2])


def test_a_face_is_its_portrait_and_not_another(watcher: Watcher, examiner: Examiner) -> None:
    still = measured(watcher, examiner, swinging([], 0.0)[:1])
    assert still.identity is not None
    assert still.stranger is not None
    assert still.identity > 0.8
    assert still.stranger < still.identity - 0.2
    assert still.head_motion == still.expression == 0
    assert still.cpbd_to_still == pytest.approx(1.0, abs=0.1)  # its mouth is closed first
    assert still.cpbd_to_crop is not None
    assert 0.3 < still.cpbd < still.cpbd_to_crop


def test_frames_without_a_face_are_counted_and_measured_no_further(examiner: Examiner) -> None:
    grey = np.full((256, 256, 3), 128, np.uint8)
    unseen = Sighting(np.zeros((3, 478, 3)), np.zeros(3, np.bool_), (grey,))
    found = examiner.examine([unseen])
    assert (found.frames, found.unseen, found.pictures, found.cpbd) == (3, 3, 1, 0)
    assert found.identity is found.stranger is found.head_motion is found.expression is None


def test_a_picture_without_a_face_has_no_identity(assets_dir: Path) -> None:
    with pytest.raises(FaceUnseen):
        FaceRecogniser(assets_dir).embedding(np.full((256, 256, 3), 128, np.uint8))


def test_a_missing_model_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="assets fetch --all"):
        FaceRecogniser(tmp_path)


@pytest.mark.parametrize("width", [2, 4, 10])
def test_an_edge_is_as_wide_as_its_ramp(width: int) -> None:
    steps = np.sin(np.linspace(0, np.pi, width + 2)[1:-1])
    row = np.concatenate([np.full(30, 40.0), 40 + 100 * np.cumsum(steps) / steps.sum()])
    row = np.pad(row, (0, 64 - len(row)), mode="edge")
    for picture in (np.tile(row, (64, 1)), np.tile(row[::-1], (64, 1))):
        widths = edge_widths(picture)
        assert (widths > 0).sum() == 62, "one pixel in each row but the first and the last"
        assert set(widths[widths > 0]) == {width}


def bars(blur: float) -> Image:
    """Bars of many widths and contrasts, with noise that a seed makes."""
    dice = np.random.default_rng(11)
    row = np.repeat(dice.integers(20, 236, 32), 8)
    picture = np.tile(row, (256, 1)) + dice.normal(0, 4, (256, 256))
    soft = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
    grey = np.clip(np.round(soft), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize(("blur", "expected"), [(0.0, 0.78003), (0.8, 0.04645), (3.0, 0.0)])
def test_sharpness_is_what_the_package_of_that_name_says(blur: float, expected: float) -> None:
    """The figures are those of cpbd-py312 1.0.3 for the same pictures."""
    assert cpbd(bars(blur)) == pytest.approx(expected, abs=1e-5)


def test_a_flat_picture_has_no_sharpness() -> None:
    assert cpbd(np.full((256, 256, 3), 90, np.uint8)) == 0


def clip(latents: Floats) -> Clip:
    return Clip(latents, np.ones(latents.shape, np.bool_))


def test_eyes_that_hold_the_caller_while_the_head_turns_do_not_look_away() -> None:
    turned = swinging([YAW], 0.25)
    held = turned.copy()
    held[:, GAZE.start] = CONTACT_YAW * held[:, YAW]
    assert upper_face([clip(held)]).away == 0
    assert upper_face([clip(held)]).gaze_sd == pytest.approx(0, abs=1e-6)
    away = upper_face([clip(turned)]).away
    assert away is not None
    assert away > 0.3


def test_glances_and_raised_brows_are_counted_once_each() -> None:
    latents = np.zeros((1500, LATENT_DIM), np.float32)
    for first in (100, 400, 900):
        latents[first : first + 20, GAZE.start] = 0.2
        latents[first + 5 : first + 30, BROWS] = 0.8
    latents[:, FURROW] = np.sqrt(2) * 0.1 * np.sin(np.arange(1500) * 2 * np.pi / 300)
    found = upper_face([clip(latents)])
    assert found.saccades_per_minute == pytest.approx(6, abs=0.01)  # there and back
    assert found.brow_raises_per_minute == pytest.approx(3, abs=0.01)
    assert found.away == pytest.approx(60 / 1500)
    assert found.furrow_sd == pytest.approx(0.1, abs=1e-3)


def test_frames_that_are_not_trusted_count_nowhere() -> None:
    latents = np.zeros((100, LATENT_DIM), np.float32)
    latents[50:60, GAZE] = 0.5
    known = np.ones(latents.shape, np.bool_)
    known[50:60, GAZE] = False
    known[:90, BROWS] = False
    found = upper_face([Clip(latents, known)])
    assert found.away == found.saccades_per_minute == 0
    assert found.brow_sd is found.brow_raises_per_minute is None
