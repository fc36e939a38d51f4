"""Goals, offsets and apertures of rows whose figures are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actor_server.codec.mesh.latent import YAW
from actor_server.evaluation.apertures import open_vowel_table, to_truth
from actor_server.evaluation.articulation import Articulation
from actor_server.evaluation.frechet import FrechetFigures
from actor_server.evaluation.goals import (
    BLINKS_PER_MINUTE,
    GOALS,
    fvd_figures,
    goal_figures,
    goal_table,
)
from actor_server.evaluation.listening import Listening
from actor_server.evaluation.liveliness import Clip, Liveliness, liveliness
from actor_server.evaluation.offsets import binned, median_shift, offset_table
from actor_server.evaluation.scoring import Row, SyncFigures
from actor_server.evaluation.systems import TARGET
from actor_server.evaluation.voices import voice_table
from reporting.goals import verdicts
from tests.unit.actor_server.evaluated import articulated, row, shifts, synced
from tests.unit.actor_server.talks import causes, mouths_of

pytestmark = pytest.mark.unit

DOCS = Path(__file__).resolve().parents[3] / "docs"
VERDICT = {goal.key: goal.verdict for goal in GOALS}
SEEN = "seen on mara"
DISTANCES = {"ground truth": 20.0, "procedural teacher": 150.0, "Actor": 120.0}


def told(figures: dict[str, float | None]) -> dict[str, str]:
    return {key: verdict(figures) for key, verdict in VERDICT.items()}


def test_far_shifts_share_a_column_and_no_stretch_is_lost() -> None:
    found = shifts(m15=1, m4=2, m3=3, p0=10, p3=4, p4=5, p15=6)
    assert binned(found) == [3, 3, 0, 0, 10, 0, 0, 4, 11]
    assert (median_shift(found), median_shift(shifts(m2=3, p1=2))) == (0, -2)
    table = offset_table([row("Actor", sync=synced(0.5, found=found)), row("static face")])
    assert table.row_count == 1
    assert [next(iter(column.cells)) for column in table.columns][3:5] == ["31", "3"]


def test_open_vowels_are_weighed_by_how_often_they_are_said() -> None:
    truth = row("ground truth", articulation=articulated(AA=(0.2, 10), EH=(0.1, 30), S=(0.1, 99)))
    actor = row("Actor", articulation=articulated(AA=(0.1, 10), EH=(0.1, 30), S=(0.01, 99)))
    compared = to_truth(actor, [truth, actor])
    assert compared is not None
    assert compared.open_vowels == pytest.approx(4 / 5)
    assert compared.phones == pytest.approx({"AA": 0.5, "EH": 1.0, "S": 0.1})
    table = open_vowel_table([truth, actor])
    assert [list(column.cells)[1] for column in table.columns][3:5] == ["0.500", ""]


def test_lips_seen_in_pictures_are_compared_with_the_truth_seen_in_pictures() -> None:
    told_truth = row("ground truth", articulation=articulated(AA=(0.2, 1)))
    seen_truth = row("ground truth", lips=SEEN, articulation=articulated(AA=(0.1, 1)))
    other = row(TARGET, takes="spoken", articulation=articulated(AA=(0.4, 1)))
    actor = row("Actor", lips=SEEN, articulation=articulated(AA=(0.1, 1)))
    compared = to_truth(actor, [other, told_truth, seen_truth, actor])
    assert compared is not None
    assert compared.open_vowels == pytest.approx(1.0)
    assert to_truth(actor, [told_truth, actor]) is None


def test_goals_are_met_up_to_their_bounds_and_missed_beyond() -> None:
    truth = row("ground truth", sync=synced(0.5), articulation=articulated(AA=(0.2, 9)))
    teacher = row("procedural teacher", sync=synced(0.42, distance=0.9))
    good = row("Actor", sync=synced(0.44, 0.95), articulation=articulated(0.95, AA=(0.181, 9)))
    poor = row("Actor", sync=synced(0.41, 0.94), articulation=articulated(0.94, AA=(0.179, 9)))
    keys = ("c_share", "near", "closed", "aperture")
    met = told(goal_figures([truth, teacher, good], "Actor", {}))
    missed = told(goal_figures([truth, teacher, poor], "Actor", {}))
    assert {met[f"{key}_grid_latents"] for key in keys} == {"met"}
    assert {missed[f"{key}_grid_latents"] for key in keys} == {"missed"}
    assert (met["c_over_teacher_latents"], missed["c_over_teacher_latents"]) == ("met", "missed")
    assert met["d_over_teacher_latents"] == "met"


def test_what_no_row_holds_is_not_measured_until_it_is_supplied() -> None:
    rows = [row("ground truth", sync=synced(0.5)), row("Actor full", sync=synced(0.5))]
    figures = goal_figures(rows, "Actor", {})
    assert set(told(figures).values()) == {"not measured"}
    supplied = told(goal_figures(rows, "Actor", {"identity": 0.79, "fvd_over_teacher": 0.0}))
    assert supplied["identity"] == supplied["fvd_over_teacher"] == "missed"
    assert supplied["cpbd_to_crop"] == "not measured"
    assert goal_table(figures).row_count == len(verdicts(GOALS, figures)) == len(GOALS)


def test_voices_count_that_both_close_and_open() -> None:
    def spoken(system: str, **voices: tuple[float, float]) -> Row:
        lips = {v: articulated(shut, AA=(gap, 9)) for v, (shut, gap) in voices.items()}
        return replace(row(system, takes="spoken"), by_voice=lips)

    truth = spoken(TARGET, a=(1.0, 0.2), b=(1.0, 0.2), c=(1.0, 0.2), d=(1.0, 0.1))
    actor = spoken("Actor", a=(0.95, 0.2), b=(0.94, 0.2), c=(1.0, 0.17), d=(1.0, 0.1), e=(1.0, 1))
    assert goal_figures([truth, actor], "Actor", {})["voices"] == 2
    assert "voices" not in goal_figures([truth, row("Actor", takes="spoken")], "Actor", {})
    table = voice_table([truth, actor])
    assert table.row_count == 9
    shut, opened = (list(column.cells)[4:] for column in table.columns[4:])
    assert shut == ["0.950", "0.940", "1.000", "1.000", "1.000"]
    assert opened == ["1.000", "1.000", "0.850", "1.000", ""]


def test_a_face_listens_if_it_nods_at_pauses_more_than_elsewhere_and_its_brows_follow() -> None:
    seen = Listening(99, 0.6, 0.2, 0.3, 0.1, 0.9, 1.0, 2.0, 3.0)
    row_of = replace(row("Actor", takes="mixed"), listening=seen)
    figures = goal_figures([row_of], "Actor", {})
    assert figures["nods"] == pytest.approx(0.4)
    verdict = told(figures)
    keys = ("nods", "brows_follow", "brows_follow_pitch")
    assert [verdict[key] for key in keys] == ["met", "met", "missed"]
    unknown = replace(row_of, listening=replace(seen, nods=None))
    assert told(goal_figures([unknown], "Actor", {}))["nods"] == "not measured"
    elsewhere = replace(row_of, takes="spoken")
    assert "nods" not in goal_figures([elsewhere], "Actor", {})


def test_head_and_lids_are_those_of_new_sentences() -> None:
    latents = mouths_of(causes(1, 1500))
    latents[:, YAW] = np.radians(3.7) * np.sqrt(2) * np.sin(np.arange(1500) / 40)
    face = liveliness([Clip(latents, np.ones(latents.shape, np.bool_))])
    spoken, elsewhere = row("Actor", takes="spoken"), row("Actor", takes="mixed")
    figures = goal_figures(
        [
            replace(spoken, liveliness=face),
            replace(elsewhere, liveliness=replace(face, yaw_sd=9.0)),
        ],
        "Actor",
        {},
    )
    assert figures["yaw_sd"] == pytest.approx(3.7, rel=0.02)
    verdict = told(figures)
    assert (verdict["yaw_sd"], verdict["pitch_sd"], verdict["blinks"]) == (
        "met",
        "missed",
        "missed",
    )
    assert VERDICT["blinks"]({"blinks": 1.2 * BLINKS_PER_MINUTE[1]}) == "met"


def test_videos_are_compared_with_the_teachers() -> None:
    figures = [FrechetFigures("grid", name, 500, far) for name, far in DISTANCES.items()]
    assert fvd_figures(figures, "Actor") == {"fvd_over_teacher": 30.0}
    assert fvd_figures(figures, "Actor full") == {}


def test_the_committed_evaluation_bears_the_verdicts_of_its_own_figures() -> None:
    committed = json.loads((DOCS / "benchmarks" / "eval-nano.json").read_text())
    rows = [
        Row(
            *(one["system"], one["takes"], one["lips"]),
            sync=SyncFigures(**one["sync"]) if one["sync"] else None,
            articulation=Articulation(**one["articulation"]) if one["articulation"] else None,
            liveliness=Liveliness(**one["liveliness"]) if one["liveliness"] else None,
            rendered=one.get("rendered"),
        )
        for one in committed["rows"]
    ]
    figures = goal_figures(rows, "Actor", {})
    of_rows = [goal for goal in GOALS if goal.key in figures]
    told = {goal["goal"]: goal for goal in committed["goals"]}
    assert len(of_rows) >= 20
    for goal in of_rows:
        assert told[goal.label]["verdict"] == goal.verdict(figures), goal.label
        assert told[goal.label]["measured"] == pytest.approx(figures[goal.key], abs=1e-3)
    page = (DOCS / "models" / "nano-actor.md").read_text()
    for goal in GOALS:
        assert f"| {goal.label} | " in page
        assert f"| {told[goal.label]['verdict']} |" in page.split(f"| {goal.label} | ")[1][:60]
