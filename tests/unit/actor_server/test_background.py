"""What moves with the head and what stays: hair that the segmentation misses."""

from dataclasses import replace

import numpy as np
import pytest

from actor_server.codec.mesh.background import empty_background, person_alpha
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
