"""Long streams in the report: their curves as JSON, their ends and slopes as a table."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from actor_server.evaluation.cells import cell
from actor_server.evaluation.drift import CURVES, Drift


def drift_json(drift: Drift) -> dict[str, Any]:
    """All curves, a value a minute, and their slopes per hour with 95 % confidence intervals."""
    slopes = {name: drift.slope(name) for name in CURVES}
    return {
        "system": drift.system,
        "minutes": drift.minutes,
        "at_min": drift.at_min,
        "text": [minute.text for minute in drift.curve],
        "curves": {name: drift.values(name) for name in CURVES},
        "slopes": {name: asdict(line) if line else None for name, line in slopes.items()},
    }


def drift_table(drifts: Sequence[Drift]) -> Table:
    """First and last minute of each stream, which have the same text, and the change an hour."""
    table = Table("figure", title="One unbroken stream")
    for one in drifts:
        table.add_column(f"{one.system}, first minute", justify="right")
        table.add_column(f"last of {one.minutes:.1f}", justify="right")
        table.add_column("change an hour (95 %)", justify="right")
    for name in CURVES:
        cells: list[str] = []
        for one in drifts:
            values = one.values(name)
            cells += [cell(values[0]), cell(values[-1]), written_slope(one, name)]
        table.add_row(name, *cells)
    return table


def written_slope(drift: Drift, name: str) -> str:
    """A slope and its interval as people read it; empty where the stream was too short."""
    line = drift.slope(name)
    if line is None:
        return ""
    return f"{_signed(line.per_hour)} ({_signed(line.low)} .. {_signed(line.high)})"


def _signed(value: float) -> str:
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.3f}"
