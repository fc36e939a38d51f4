"""A time beyond its goal is told; a call or a question that was lost is more than told."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.blows import Outcome
from tests.chaos.figures import figures, harm, table, write

pytestmark = pytest.mark.unit


WELL = Outcome("actor", 1.0, 0.1, answered=True, went_on=True, likeness=0.95, remembered=True)


def outcome(back_s: float) -> Outcome:
    return replace(WELL, back_s=back_s)


def test_the_median_and_the_slowest_are_each_held_against_the_goal() -> None:
    found = figures([outcome(2.0), outcome(2.5), outcome(3.5)], died=0, goal_s=3.0)
    assert (found["back_s_median"], found["back_s_median_verdict"]) == (2.5, "met")
    assert (found["back_s_slowest"], found["back_s_slowest_verdict"]) == (3.5, "missed")
    assert figures([outcome(3.1)], 0, 3.0)["back_s_median_verdict"] == "missed"
    assert figures([outcome(3.0)], 0, 3.0)["back_s_slowest_verdict"] == "met"


@pytest.mark.parametrize(("outcomes", "goal_s"), [([WELL], None), ([], 3.0)])
def test_without_a_goal_or_a_call_nothing_is_judged(
    outcomes: list[Outcome], goal_s: float | None
) -> None:
    found = figures(outcomes, died=0, goal_s=goal_s)
    assert found["back_s_median_verdict"] == found["back_s_slowest_verdict"] == ""


def test_a_single_missed_time_is_no_harm_but_most_are() -> None:
    quick, slow = outcome(1.0), outcome(60.0)
    assert harm({"actor": figures([quick, quick, slow], died=0, goal_s=3.0)}) == []
    assert harm({"actor": figures([quick, slow, slow], died=0, goal_s=3.0)}) == ["actor (time)"]
    assert harm({"actor": figures([slow], died=0, goal_s=None)}) == []


@pytest.mark.parametrize(
    ("hurt", "lost"),
    [
        (replace(WELL, answered=False), "question"),
        (replace(WELL, went_on=False), "conversation"),
        (replace(WELL, likeness=0.75), "face"),
        (replace(WELL, remembered=False), "record"),
    ],
)
def test_what_one_call_of_many_lost_is_named(hurt: Outcome, lost: str) -> None:
    whole = {"thinker": figures([WELL, hurt], 0, None), "actor": figures([WELL], 0, 3.0)}
    assert harm(whole) == [f"thinker ({lost})"]


def test_a_dead_call_is_harm() -> None:
    assert harm({"gateway": figures([WELL], 1, None)}) == ["gateway (call)"]


def test_the_table_shows_both_verdicts_beside_the_goal() -> None:
    page = io.StringIO()
    whole = {
        "actor": figures([outcome(1.0), outcome(2.0), outcome(9.0)], 0, 3.0),
        "livekit": figures([], 1, None),
    }
    Console(file=page, width=120).print(table(whole))
    actor, livekit = (line for line in page.getvalue().splitlines() if " of " in line)
    assert [cell.strip() for cell in actor.strip("│").split("│")] == [
        "actor", "3 of 3", "<= 3 s", "2.0 s", "met", "9.0 s", "missed", "0.1 s",
    ]  # fmt: skip
    assert "met" not in livekit
    assert "missed" not in livekit


def test_blows_that_were_not_struck_keep_their_figures(tmp_path: Path) -> None:
    to = tmp_path / "new" / "chaos.json"
    write(to, {"actor": {"died": 0}, "thinker": {"died": 0}}, beside_others=True)
    write(to, {"actor": {"died": 1}}, beside_others=True)
    assert json.loads(to.read_text()) == {"figures": {"actor": {"died": 1}, "thinker": {"died": 0}}}
    write(to, {"actor": {"died": 2}}, beside_others=False)
    assert json.loads(to.read_text()) == {"figures": {"actor": {"died": 2}}}
