"""A goal, and whether a figure reaches it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["met", "missed", "not measured"]
Figures = Mapping[str, float | int | None]


@dataclass(frozen=True)
class Goal:
    """A figure and the bounds that it should keep to, both included."""

    key: str
    label: str
    unit: str
    wanted: str
    low: float = -math.inf
    high: float = math.inf

    def verdict(self, figures: Figures) -> Verdict:
        """Hold a figure against the goal."""
        value = figures.get(self.key)
        if value is None or math.isnan(value):
            return "not measured"
        return "met" if self.low <= value <= self.high else "missed"


def verdicts(goals: Sequence[Goal], figures: Figures) -> list[dict[str, Any]]:
    """Every goal with its figure and its verdict, ready for JSON."""
    return [
        {
            "goal": goal.label,
            "wanted": f"{goal.wanted} {goal.unit}".strip(),
            "measured": figures.get(goal.key),
            "verdict": goal.verdict(figures),
        }
        for goal in goals
    ]
