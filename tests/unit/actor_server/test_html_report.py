"""The page: everything in one file, each figure with its meaning."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from actor_server.evaluation.diversity import Diversity
from actor_server.evaluation.drift import CURVES, drift
from actor_server.evaluation.evaluate import fit_judge
from actor_server.evaluation.explanations import MEASURES, TABLES
from actor_server.evaluation.frechet import FrechetFigures
from actor_server.evaluation.goals import GOALS
from actor_server.evaluation.html_report import html
from actor_server.evaluation.html_sheets import (
    PORTRAITS_PAGE,
    caption,
    portraits_section,
    shortcomings,
)
from actor_server.evaluation.listening import Listening
from actor_server.evaluation.portrait_kinds import names
from actor_server.evaluation.rendered_measures import RenderedFigures
from actor_server.evaluation.report import Evaluation, tables
from actor_server.evaluation.scoring import Performance
from actor_server.evaluation.scoring import row as judged
from actor_server.evaluation.systems import Recorded
from actor_server.evaluation.upper_face import UpperFace
from reporting.goals import verdicts
from tests.unit.actor_server.evaluated import articulated, row, synced
from tests.unit.actor_server.talks import take

pytestmark = pytest.mark.unit

SEEN = "seen on mara"
UNEXPLAINED = re.compile(
    r"takes|system|lips|voice|goal|measured|wanted||figure|.*first minute|last of .*"
    r"|change an hour.*|[-+]\d+( \.\. [-+]\d+)?|[A-Z]{1,2}"
)
"""Headings that are no figures, shifts and phones."""


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    takes = [take(seed, chunks=24) for seed in range(4)]
    judge = fit_judge([take(seed) for seed in range(10, 14)])
    lips = articulated(B=(0.02, 4), AA=(0.15, 9), EH=(0.12, 9))
    return Evaluation(
        about={
            "machine": {"cpu": "<fast>"},
            "commit": "0123456789abcdef",
            "settings": {"seconds": 9},
        },
        rows=(
            judged(judge, Performance.of(Recorded(), takes)),
            row("Actor", sync=synced(0.5), articulation=lips),
            replace(
                row("ground truth", lips=SEEN, sync=synced(0.6), articulation=lips),
                by_voice={"hibari": lips},
            ),
            replace(
                row("Actor", lips=SEEN, sync=synced(0.5), articulation=lips),
                upper_face=UpperFace(0.1, 0.2, 10.0, 0.2, 5.0, 0.1),
                listening=Listening(9, 0.6, 0.1, 0.3, 0.2, 0.9, 3.0, 4.0, 8.0),
                by_voice={"hibari": lips},
                rendered=RenderedFigures(99, 0, 4, 0.9, 0.4, 0.5, 1.0, 1.0, 0.08, 0.01),
            ),
        ),
        frechet=(FrechetFigures("grid", "Actor", 500, 99.0),),
        diversity=(Diversity("grid", "Actor", 4, 1.0, 2.0, 0.1, 0.1, 0.01, 0.02),),
        drifts=tuple(
            drift(judge, system, takes, 5.0) for system in (Recorded("Actor"), Recorded("teacher"))
        ),
    )


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheets")
    for name in ("faces-grid-0-mara", "lips-grid-0", "twelve-portraits"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((20, 30, 3), 200, np.uint8))
    (folder / "twelve-portraits.txt").write_text("Hair <tears> at a turned head.\n")
    return folder


def test_the_page_is_whole_by_itself(evaluation: Evaluation, sheets: Path) -> None:
    page = html(evaluation, sheets)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("data:image/jpeg") == 3
    assert not re.search(r"\bnan\b|\bNone\b", page)
    assert "&lt;fast&gt;" in page
    assert "Hair &lt;tears&gt; at a turned head." in page
    drawn = [name for name in CURVES if evaluation.drifts[0].values(name)[0] is not None]
    assert page.count("<svg") == 4 + 2 + len(drawn)  # offsets, apertures, curves
    assert len(drawn) > 12


def test_every_goal_has_its_verdict_and_rows_of_the_actor_stand_out(evaluation: Evaluation) -> None:
    page = html(evaluation)
    cells = re.findall(r'<td class="(?:met|missed|unmeasured)">([^<]+)', page)
    assert cells == [row["verdict"] for row in verdicts(GOALS, evaluation.figures)]
    assert set(cells) == {"met", "missed", "not measured"}
    assert "None were drawn" in page
    assert page.count('<tr class="own">') >= 4


def test_each_table_and_figure_is_explained(evaluation: Evaluation) -> None:
    shown = tables(evaluation)
    assert len(shown) == len(TABLES)
    for table in shown:
        assert TABLES[str(table.title)]
        for column in table.columns:
            name = str(column.header)
            assert name in MEASURES or UNEXPLAINED.fullmatch(name), name
    assert set(CURVES) <= set(MEASURES)


def test_a_sheet_is_named_by_its_text_or_by_its_file(sheets: Path) -> None:
    assert caption(sheets / "faces-grid-0-mara.png").startswith("grid, take 0 on mara")
    assert caption(sheets / "lips-grid-0.png").startswith("grid, take 0: the gap")
    assert caption(sheets / "some-face.png") == "some face"


def test_a_sheet_that_is_no_picture_is_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png is no picture"):
        html(evaluation, tmp_path)


def test_sheets_of_portraits_come_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    page = tmp_path / "portraits.md"
    page.write_text(
        "| kind | how it came about | what is wrong |\n|---|---|---|\n"
        "| mara | avatar | lashes stay |\n| real (`--also`) | photo | too <dark> |\n"
        "| lost | drawn | all |\n| other | table |\n"
    )
    for name in ("mara", "mara-close", "real", "unknown"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((20, 30, 3), 200, np.uint8))
    shown = portraits_section(tmp_path, page)
    assert re.findall("<figcaption>([^<]+)<", shown) == [
        "mara: avatar. What is wrong: lashes stay.",
        "real: photo. What is wrong: too &lt;dark&gt;.",
    ]
    assert shown.count("<img") == 3, "mouths and eyes too, where there are any"
    assert "<li>lost: drawn. What is wrong: all.</li>" in shown
    assert portraits_section(None) == portraits_section(tmp_path / "nowhere", page) == ""


def test_the_page_on_portraits_has_a_line_for_every_kind() -> None:
    told = shortcomings(PORTRAITS_PAGE)
    assert set(names()) <= set(told)
