"""What the blows of one kind did to calls, in figures; each time beside its goal."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

from rich.table import Table

from tests.chaos.blows import Outcome

Verdict = Literal["met", "missed", ""]
"""Empty: there is no goal, or no call was left to measure."""
STYLES = {"met": "green", "missed": "red"}


def figures(outcomes: Sequence[Outcome], died: int, goal_s: float | None) -> dict[str, Any]:
    """One kind of blow, ready for JSON. Times in seconds, sorted."""
    back = sorted(round(outcome.back_s, 2) for outcome in outcomes)
    frozen = sorted(round(outcome.frozen_s, 2) for outcome in outcomes)
    middle = round(median(back), 2) if back else None
    slowest = back[-1] if back else None
    return {
        "survived": len(outcomes),
        "died": died,
        "answered_or_apologised": sum(outcome.answered for outcome in outcomes),
        "went_on": sum(outcome.went_on for outcome in outcomes),
        "same_face": sum(outcome.same_face for outcome in outcomes),
        "likeness_least": min((round(one.likeness, 3) for one in outcomes), default=None),
        "remembered": sum(outcome.remembered for outcome in outcomes),
        "goal_s": goal_s,
        "back_s": back,
        "back_s_median": middle,
        "back_s_median_verdict": verdict(middle, goal_s),
        "back_s_slowest": slowest,
        "back_s_slowest_verdict": verdict(slowest, goal_s),
        "frozen_s": frozen,
        "frozen_s_median": round(median(frozen), 2) if frozen else None,
    }


def verdict(measured_s: float | None, goal_s: float | None) -> Verdict:
    """A time held against its goal."""
    if measured_s is None or goal_s is None:
        return ""
    return "met" if measured_s <= goal_s else "missed"


LOST = {
    "answered_or_apologised": "question",
    "went_on": "conversation",
    "same_face": "face",
    "remembered": "record",
}
"""What each call must have kept, and how that is called."""


def harm(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was lost to which blow: a call, a question, or more time than the goal gives in most.

    A single slow recovery is no harm: the machine may have done something else.
    """
    losses = []
    for name, of in found.items():
        lost = ["call"] if of["died"] else []
        lost += [thing for kept, thing in LOST.items() if of[kept] < of["survived"]]
        lost += ["time"] if of["back_s_median_verdict"] == "missed" else []
        if lost:
            losses.append(f"{name} ({', '.join(lost)})")
    return losses


def write(to: Path, found: dict[str, dict[str, Any]], beside_others: bool) -> None:
    """The JSON file; `beside_others` leaves the blows in it that were not struck now."""
    others = json.loads(to.read_text())["figures"] if beside_others and to.exists() else {}
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({"figures": others | found}, indent=2) + "\n")


def table(found: dict[str, dict[str, Any]]) -> Table:
    """For people."""
    shown = Table(
        "killed", "survived", "goal", "all well after", "", "slowest", "", "picture stood"
    )
    for name, of in found.items():
        shown.add_row(
            name,
            f"{of['survived']} of {of['survived'] + of['died']}",
            "" if of["goal_s"] is None else f"<= {of['goal_s']:g} s",
            _seconds(of["back_s_median"]),
            _coloured(of["back_s_median_verdict"]),
            _seconds(of["back_s_slowest"]),
            _coloured(of["back_s_slowest_verdict"]),
            _seconds(of["frozen_s_median"]),
        )
    return shown


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value} s"


def _coloured(held: Verdict) -> str:
    return f"[{STYLES[held]}]{held}[/]" if held else ""
