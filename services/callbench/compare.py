"""Two benchmarks side by side: which figures became better, which worse."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from services.callbench.report import percentile

SAME_SHARE = 0.05
"""Figures that differ by less are the same: runs on one machine scatter that much."""
HIGHER_IS_BETTER = re.compile(r"(^|\.)(fps|fps_speaking|fps_of_\d+_calls|sent_fps)$")
NEAR_ZERO_IS_BETTER = re.compile(r"(^|\.)(av_offset_(p5_|p95_)?ms|lips_lag_ms)$")
OF_PORTRAITS = (
    "voice_to_voice_ms_p50",
    "voice_to_voice_ms_p95",
    "voice_to_face_ms_p50",
    "voice_to_face_ms_p95",
    "fps",
    "av_offset_ms",
    "av_offset_abs_p95_ms",
)


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
        if NEAR_ZERO_IS_BETTER.search(self.key):
            before, now = abs(before), abs(now)
        if abs(now - before) <= SAME_SHARE * max(abs(before), abs(now)):
            return "same"
        return "better" if (now < before) != bool(HIGHER_IS_BETTER.search(self.key)) else "worse"


def read_baseline(path: Path) -> dict[str, Any]:
    """A benchmark's JSON. Raises BaselineUnusable."""
    try:
        baseline = json.loads(path.read_text())
        flat_figures(baseline)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineUnusable(f"{path} is not a benchmark of `make bench-call`: {error}") from None
    return dict(baseline)


def flat_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Every figure of a report by its name.

    Those of stages as `stage.p50`, of portraits as `name.figure`, of calls at once as
    `4 calls.figure`. Of the A/V offset older reports have only the 5th and 95th percentile.
    """
    figures = dict(report["summary"])
    transport = report.get("call", {}).get("transport", {})
    figures |= {key: transport.get(key) for key in ("av_offset_p5_ms", "av_offset_p95_ms")}
    figures |= _of_stages(report.get("stages", []))
    for name, portrait in report.get("portraits", {}).items():
        figures |= {f"{name}.{key}": portrait.get(key) for key in OF_PORTRAITS}
        figures |= _of_stages(portrait.get("stages", []), f"{name}.")
    for run in report.get("parallel", []):
        calls = f"{run['calls']} calls."
        figures |= {calls + key: value for key, value in _of_sides(run["sides"]).items()}
        figures |= _of_stages(run["stages"], calls)
    return {key: value for key, value in figures.items() if value is not None}


def _of_stages(stages: Sequence[Mapping[str, Any]], of: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for stage in stages:
        found[f"{of}{stage['name']}.p50"] = stage["p50_ms"]
        found[f"{of}{stage['name']}.p95"] = stage["p95_ms"]
    return found


def _of_sides(sides: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Of several calls at once: the answers of all, and the worst of what each caller got."""
    voices = [ms for side in sides for ms in side["voice_to_voice_ms"]]
    faces = [ms for side in sides for ms in side["voice_to_face_ms"]]
    rates = [side["fps"] for side in sides if side["fps"] is not None]
    sent = [side["sent_fps"] for side in sides if side.get("sent_fps") is not None]
    offsets = [side["av_offset_ms"] for side in sides if side["av_offset_ms"] is not None]
    return {
        **{f"voice_to_voice_ms_p{p}": percentile(voices, p) for p in (50, 95)},
        **{f"voice_to_face_ms_p{p}": percentile(faces, p) for p in (50, 95)},
        "fps": min(rates, default=None),
        "sent_fps": min(sent, default=None),
        "av_offset_ms": max(offsets, key=abs, default=None),
        "freezes": sum(side["freezes"] or 0 for side in sides),
        "unanswered": sum(side["unanswered"] for side in sides),
    }


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
