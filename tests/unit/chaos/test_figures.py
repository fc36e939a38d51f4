"""A time beyond its goal is told; a call or a question that was lost is more than told."""

import io

import pytest
from rich.console import Console

from tests.chaos.blows import Outcome
from tests.chaos.figures import figures, harm, table

pytestmark = pytest.mark.unit


def outcome(back_s: float = 1.0, *, answered: bool = True, went_on: bool = True) -> Outcome:
    return Outcome("actor", back_s, 0.1, answered, went_on)


def test_the_median_and_the_slowest_are_each_held_against_the_goal() -> None:
    found = figures([outcome(2.0), outcome(2.5), outcome(3.5)], died=0, goal_s=3.0)
    assert (found["back_s_median"], found["back_s_median_verdict"]) == (2.5, "met")
    assert (found["back_s_slowest"], found["back_s_slowest_verdict"]) == (3.5, "missed")
    assert figures([outcome(3.1)], 0, 3.0)["back_s_median_verdict"] == "missed"
    assert figures([outcome(3.0)], 0, 3.0)["back_s_slowest_verdict"] == "met"


@pytest.mark.parametrize(("outcomes", "goal_s"), [([outcome()], None), ([], 3.0)])
def test_without_a_goal_or_a_call_nothing_is_judged(
    outcomes: list[Outcome], goal_s: float | None
) -> None:
    found = figures(outcomes, died=0, goal_s=goal_s)
    assert found["back_s_median_verdict"] == found["back_s_slowest_verdict"] == ""


def test_a_missed_time_is_no_harm() -> None:
    assert harm({"actor": figures([outcome(60.0)], died=0, goal_s=3.0)}) == []


@pytest.mark.parametrize(
    ("outcomes", "died"),
    [([], 1), ([outcome(answered=False)], 0), ([outcome(), outcome(went_on=False)], 0)],
)
def test_a_dead_call_or_a_lost_question_is(outcomes: list[Outcome], died: int) -> None:
    whole = {"thinker": figures(outcomes, died, None), "actor": figures([outcome()], 0, 3.0)}
    assert harm(whole) == ["thinker"]


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
