"""The texture that a moving head is sampled from."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from actor_server.codec.mesh.background import person_alpha
from actor_server.codec.mesh.person_texture import MARGIN, SCALE, person_texture, texture_places
from actor_server.codec.mesh.prepared import CROP_SIZE, PreparedPortrait

pytestmark = pytest.mark.unit

STRIPES_PX = 4
"""Two pixels of a frame: one light, one dark."""


def contrast(texture: NDArray[np.uint8], shift_px: float, places: bool) -> float:
    """Amplitude in grey levels of the stripes sampled `shift_px` beside the crop's pixels."""
    row = np.float32([[x + shift_px, 100.0] for x in range(100, 100 + 10 * STRIPES_PX)])
    at = texture_places(row) if places else row
    read = cv2.remap(texture, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0, :, 0]
    wave = np.exp(2j * np.pi * np.arange(len(read)) / STRIPES_PX)
    return float(2 * abs((read * wave).mean()))


def test_pixels_of_the_crop_stay_as_they_are(prepared: PreparedPortrait) -> None:
    alpha = person_alpha(prepared)
    texture = person_texture(prepared.image, alpha)
    rows, columns = np.mgrid[0:CROP_SIZE:37, 0:CROP_SIZE:41]
    places = texture_places(np.stack([columns, rows], -1).reshape(-1, 2).astype(np.float32))
    x, y = places.astype(int).T
    assert (places == places.astype(int)).all()
    opacity = alpha[rows, columns].ravel()[:, None]
    colour = prepared.image[rows, columns].reshape(-1, 3)
    assert (texture[y, x] == np.round(np.hstack([colour * opacity, 255 * opacity]))).all()


def test_fine_stripes_keep_their_contrast_between_the_pixels() -> None:
    wave = 128 + 100 * np.cos(2 * np.pi * np.arange(CROP_SIZE) / STRIPES_PX)
    image = np.repeat(np.tile(wave.astype(np.uint8), (CROP_SIZE, 1))[..., None], 3, 2)
    texture = person_texture(image, np.ones((CROP_SIZE, CROP_SIZE), np.float32))
    shifts = np.linspace(0, 1, 16, endpoint=False)
    kept = np.array([contrast(texture, shift, places=True) for shift in shifts]) / 100
    lost = np.array([contrast(image, shift, places=False) for shift in shifts]) / 100
    assert kept.mean() == pytest.approx(0.98, abs=0.02)
    assert kept.min() > 0.92
    assert kept.max() < 1.1
    assert lost.mean() < 0.85


def test_a_head_below_the_upper_edge_has_no_mirror_image_above_it(
    prepared: PreparedPortrait,
) -> None:
    lifted = np.roll(person_alpha(prepared), -int(np.argmax(prepared.person.max(1) > 0.5)) + 4, 0)
    opaque = person_texture(prepared.image, lifted)[..., 3]
    margin = MARGIN * SCALE
    assert not opaque[: margin - SCALE].any()
    assert opaque[margin + 10 * SCALE].any()
    assert (opaque[-margin:] == opaque[-margin - SCALE]).all()
