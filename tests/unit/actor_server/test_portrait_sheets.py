"""Contact sheets: every kind of portrait is made, taken by intake and drawn with a label."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.evaluation import overdrawing
from actor_server.evaluation.portrait_kinds import AVATARS, Kind, Sources, kinds
from actor_server.evaluation.portrait_sheets import (
    COLUMNS,
    LABEL_PX,
    OVERVIEW,
    OVERVIEW_KINDS,
    OVERVIEW_PX,
    draw,
    faces,
    grid,
    overview,
    sheets,
)
from actor_server.portrait.intake import PortraitIntake

pytestmark = pytest.mark.unit


def test_what_is_drawn_over_a_portrait_is_a_picture_that_intake_takes(
    intake: PortraitIntake,
) -> None:
    names = ("glasses", "hand", "headscarf", "child", "three-quarter", "chest-level", "cartoon")
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


def test_a_child_has_larger_eyes_and_a_lower_face_that_is_shorter(intake: PortraitIntake) -> None:
    sources = Sources(intake)
    (kind,) = kinds(sources, ("child",))
    shapes = []
    for portrait in (sources.prepared("priya"), intake.prepare(kind.picture)):
        face = portrait.landmarks[:, :2]
        eyes = face[[*topology.RIGHT_LID_UPPER, *topology.LEFT_LID_UPPER]].mean(0)
        below, above = (
            np.linalg.norm(face[end] - eyes) for end in (topology.CHIN, topology.FOREHEAD)
        )
        eye = np.linalg.norm(face[topology.RIGHT_LID_UPPER[0]] - face[topology.RIGHT_LID_UPPER[-1]])
        shapes.append((eye / (below + above), below / above))
    (eye, lower), (large_eye, short) = shapes
    assert large_eye > 1.15 * eye
    assert short < 0.92 * lower


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
    assert list(whole) == ["the picture", *faces()] == list(close)
    sheet = grid(whole)
    assert sheet.shape == (-(-len(whole) // COLUMNS) * (256 + LABEL_PX), COLUMNS * 256, 3)
    assert np.array_equal(sheet[LABEL_PX : LABEL_PX + 256, 256:512], whole["rest"])
    picture = whole["the picture"].astype(int)
    assert np.abs(picture - whole["rest"]).mean() < 3
    moving = [label for label in faces() if label not in ("rest", "closed for speech")]
    assert all(np.abs(picture - whole[label]).max() > 30 for label in moving)
    both = overview({"one": whole, "other": whole})
    assert both.shape == (OVERVIEW_PX + LABEL_PX, OVERVIEW_KINDS * len(OVERVIEW) * OVERVIEW_PX, 3)


def test_a_refused_picture_has_no_sheet(
    intake: PortraitIntake, prepared: PreparedPortrait, tmp_path: Path
) -> None:
    covered = cv2.cvtColor(overdrawing.microphone(prepared), cv2.COLOR_RGB2BGR)
    kind = Kind("covered", "drawn", cv2.imencode(".png", covered)[1].tobytes())
    said, cells = draw(kind, intake, tmp_path)
    assert said.startswith("refused (mouth_hidden): ")
    assert not cells
    assert not list(tmp_path.iterdir())
