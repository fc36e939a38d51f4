"""A soak as one JSON object and as a table for people."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from services.soak.findings import WARM_UP_SHARE, Finding
from services.soak.samples import Soak
from services.soak.series import curves, thinned

STYLES = {"met": "green", "missed": "red", "undecided": "yellow", "": ""}


def report(soak: Soak, found: Sequence[Finding]) -> dict[str, Any]:
    """Everything, ready for JSON: the machine, the figures, thinned curves."""
    drawn = curves(soak.samples)
    return {
        "machine": soak.about.machine,
        "plan": soak.about.model_dump(exclude={"machine"}),
        "end": soak.end,
        "samples": len(soak.samples),
        "warm_up_share": WARM_UP_SHARE,
        "figures": {one.key: _figure(one) for one in found},
        "unanswered": [one.model_dump() for sample in soak.samples for one in sample.unanswered],
        "curves": {
            "at_h": _short(thinned(list(drawn.at_h)), 4),
            **{name: _short(thinned(values), 3) for name, values in drawn.single.items()},
            "process_heap_mb": {
                name: _short(thinned(values), 1) for name, values in drawn.heap_mb.items()
            },
            "process_cpu_percent": {
                name: _short(thinned(values), 1) for name, values in drawn.cpu_percent.items()
            },
        },
    }


def as_json(value: Any, indent: int = 0) -> str:
    """Objects on lines of their own; lists of numbers, which curves are, on one."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, allow_nan=False)
    inner = " " * (indent + 2)
    rows = (f"{inner}{json.dumps(key)}: {as_json(v, indent + 2)}" for key, v in value.items())
    return "{\n" + ",\n".join(rows) + f"\n{' ' * indent}}}"


def table(soak: Soak, found: Sequence[Finding]) -> Table:
    """The figures for people, each beside its goal."""
    minutes = soak.samples[-1].at_s / 60
    shown = Table("figure", "measured", "goal", "", title=f"A call of {minutes:.1f} minutes")
    for one in found:
        style = STYLES[one.verdict]
        verdict = f"[{style}]{one.verdict}[/]" if style else ""
        shown.add_row(one.label, written(one), one.wanted, verdict)
    return shown


def written(one: Finding) -> str:
    """A figure as people read it."""
    if one.value is None:
        return "not measured"
    text = f"{_number(one.value)} {one.unit}".strip()
    if one.low is None or one.high is None:
        return text
    return f"{text} ({_number(one.low)} .. {_number(one.high)})"


def _number(value: float) -> str:
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _figure(one: Finding) -> dict[str, Any]:
    row = asdict(one)
    row.pop("key")
    return {
        name: _rounded(value, 4) if isinstance(value, float) else value
        for name, value in row.items()
        if value is not None and value != ""
    }


def _short(values: Sequence[float | None], digits: int) -> list[float | None]:
    return [None if value is None else _rounded(value, digits) for value in values]


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
