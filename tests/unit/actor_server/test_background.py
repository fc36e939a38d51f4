"""What moves with the head and what stays: hair that the segmentation misses."""

from dataclasses import replace

import numpy as np
import pytest

from actor_server.codec.mesh.background import (
    TEXTURE_MARGIN,
    empty_background,
    moving_texture,
    person_alpha,
)
from actor_server.codec.mesh.prepared import PreparedPortrait

pytestmark = pytest.mark.unit

COLUMN = 200


def with_a_strand(prepared: PreparedPortrait, busy: bool) -> tuple[PreparedPortrait, int]:
    """Draw hair upwards from the head over its background; returns the row of its middle."""
    image = prepared.image.copy()
    if busy:
        noise = np.random.default_rng(0).integers(0, 255, image.shape)
        image[prepared.person < 0.05] = noise[prepared.person < 0.05]
    top = int(np.argmax(prepared.person[:, COLUMN] > 0.5))
    image[top - 16 : top, COLUMN - 1 : COLUMN + 2] = 10
    return replace(prepared, image=image), top - 10


def test_hair_that_the_segmentation_misses_moves_with_the_head(
    prepared: PreparedPortrait,
) -> None:
    portrait, row = with_a_strand(prepared, busy=False)
    before, alpha = person_alpha(prepared), person_alpha(portrait)
    assert before[row, COLUMN] < 0.1
    assert alpha[row, COLUMN] > 0.9
    behind = empty_background(portrait.image, alpha)[row // 2, COLUMN // 2].astype(int)
    plain = prepared.image[row, COLUMN - 30].astype(int)
    assert np.abs(behind - plain).max() < 25


def test_a_busy_background_does_not_move_with_the_head(prepared: PreparedPortrait) -> None:
    portrait, row = with_a_strand(prepared, busy=True)
    assert person_alpha(portrait)[row - 30 : row + 5, COLUMN + 20 : COLUMN + 40].max() < 0.1


def test_a_head_below_the_upper_edge_has_no_mirror_image_above_it(
    prepared: PreparedPortrait,
) -> None:
    lifted = np.roll(person_alpha(prepared), -int(np.argmax(prepared.person.max(1) > 0.5)) + 4, 0)
    opaque = moving_texture(prepared.image, lifted)[..., 3]
    assert not opaque[:TEXTURE_MARGIN].any()
    assert opaque[TEXTURE_MARGIN + 10].any()
    assert (opaque[-TEXTURE_MARGIN:] == opaque[-TEXTURE_MARGIN - 1]).all()
