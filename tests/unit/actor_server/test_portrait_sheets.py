"""Contact sheets: every kind of portrait is made, taken by intake and drawn with a label."""

import dataclasses

import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.evaluation import overdrawing
from actor_server.evaluation.portrait_kinds import AVATARS, Sources, kinds
from actor_server.evaluation.portraits import COLUMNS, LABEL_PX, faces, sheets
from actor_server.portrait.intake import PortraitIntake

pytestmark = pytest.mark.unit


def test_what_is_drawn_over_a_portrait_is_a_picture_that_intake_takes(
    intake: PortraitIntake,
) -> None:
    names = ("glasses", "three-quarter", "chest-level", "cartoon")
    made = {kind.name: kind for kind in kinds(Sources(intake), names)}
    assert set(made) == set(names)
    for kind in made.values():
        assert kind.made.startswith("synthetic: ")
        assert intake.check(kind.picture).code == "ok", kind.name
    turned = intake.check(made["three-quarter"].picture).checks["yaw_deg"]
    before = intake.check(Sources(intake).file("kenji")).checks["yaw_deg"]
    assert abs(turned) > abs(before) + 8


def test_every_avatar_is_a_kind_of_its_own(intake: PortraitIntake) -> None:
    found = list(kinds(Sources(intake), AVATARS))
    assert [kind.name for kind in found] == list(AVATARS)


def test_a_microphone_hides_lips_and_glasses_hide_nothing_below(
    prepared: PreparedPortrait,
) -> None:
    x, y = prepared.landmarks[topology.OUTER_LIP_BOTTOM, :2].astype(int)
    hidden = overdrawing.microphone(prepared)[y, x + 8]
    assert np.abs(hidden.astype(int) - prepared.image[y, x + 8]).max() > 20
    below = overdrawing.glasses(prepared)[y:]
    assert np.array_equal(below, prepared.image[y:])


def test_a_sheet_shows_the_picture_and_every_face(prepared: PreparedPortrait) -> None:
    whole, close = sheets(prepared)
    rows = -(-(len(faces()) + 1) // COLUMNS)
    assert whole.shape == (rows * (256 + LABEL_PX), COLUMNS * 256, 3)
    assert close.shape[1] == whole.shape[1]
    picture, rest, ah = (
        whole[LABEL_PX : LABEL_PX + 256, 256 * n : 256 * (n + 1)].astype(int) for n in (0, 1, 3)
    )
    assert np.abs(picture - rest).mean() < 3
    assert np.abs(picture - ah).max() > 60
    assert all((whole[LABEL_PX + 4 :: 256 + LABEL_PX][row] < 255).any() for row in range(rows))
    other = dataclasses.replace(prepared, image=overdrawing.dim(prepared))
    assert np.abs(sheets(other)[0].astype(int) - whole).mean() > 20
