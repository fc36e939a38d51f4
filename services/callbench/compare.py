"""Two benchmarks side by side: which figures became better, which worse."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

SAME_SHARE = 0.05
"""Figures that differ by less are the same: runs on one machine scatter that much."""
HIGHER_IS_BETTER = {"fps", "fps_speaking"}
NEAR_ZERO_IS_BETTER = {"av_offset_ms", "lips_lag_ms"}


class BaselineUnusable(Exception):
    """The file is not a benchmark of ours."""


@dataclass(frozen=True)
class Change:
    """A figure before and now."""

    key: str
    before: float
    now: float

    @property
    def verdict(self) -> str:
        """better, worse, or the same."""
        before, now = self.before, self.now
        if self.key in NEAR_ZERO_IS_BETTER:
            before, now = abs(before), abs(now)
        if abs(now - before) <= SAME_SHARE * max(abs(before), abs(now)):
            return "same"
        return "better" if (now < before) != (self.key in HIGHER_IS_BETTER) else "worse"


def read_baseline(path: Path) -> dict[str, Any]:
    """A benchmark's JSON. Raises BaselineUnusable."""
    try:
        baseline = json.loads(path.read_text())
        flat_figures(baseline)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineUnusable(f"{path} is not a benchmark of `make bench-call`: {error}") from None
    return dict(baseline)


def flat_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Every figure of a report by its name, those of the stages as `stage.p50`."""
    figures = {key: value for key, value in report["summary"].items() if value is not None}
    for stage in report.get("stages", []):
        figures[f"{stage['name']}.p50"] = stage["p50_ms"]
        figures[f"{stage['name']}.p95"] = stage["p95_ms"]
    return figures


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The figures that both reports have."""
    old, new = flat_figures(before), flat_figures(now)
    return [Change(key, old[key], value) for key, value in new.items() if key in old]


def compare_table(changes: list[Change]) -> Table:
    """The same for people."""
    shown = Table("figure", "before", "now", "change", "", title="Against the baseline")
    for change in changes:
        difference = f"{change.now - change.before:+.1f}"
        shown.add_row(
            change.key, f"{change.before:.1f}", f"{change.now:.1f}", difference, change.verdict
        )
    return shown
