"""The evaluation as one JSON object and as tables for people."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Final

from rich.table import Table

from actor_server.evaluation.articulation import GRID_APERTURES
from actor_server.evaluation.diversity import Diversity
from actor_server.evaluation.drift import Drift
from actor_server.evaluation.frechet import FrechetFigures
from actor_server.evaluation.scoring import Row

DIGITS: Final = 4


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured. `about`: machine, commit, data, judge, settings."""

    about: dict[str, Any]
    rows: tuple[Row, ...]
    drifts: tuple[Drift, ...]
    frechet: tuple[FrechetFigures, ...] = ()
    diversity: tuple[Diversity, ...] = ()


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """One object ready for JSON; what could not be measured is null."""
    whole = evaluation.about | {
        "grid_apertures": GRID_APERTURES,
        "rows": [asdict(row) for row in evaluation.rows],
        "drift": [asdict(drift) for drift in evaluation.drifts],
        "frechet": [asdict(figures) for figures in evaluation.frechet],
        "diversity": [asdict(figures) for figures in evaluation.diversity],
    }
    rounded: dict[str, Any] = _rounded(whole)
    return rounded


def tables(evaluation: Evaluation) -> list[Table]:
    """A table for each kind of figures, where there are any."""
    shown = [
        _table("Lips and sound", evaluation.rows, _SYNC),
        _table("Inner lip gap in the middle of a phone, eye distances", evaluation.rows, _GAPS),
        _table("Head and face", evaluation.rows, _FACE),
        _table("Eyes and brows", evaluation.rows, _UPPER_FACE),
        _table("Drawn frames", evaluation.rows, _RENDERED),
        _set_table("Videos as a set (FVD)", evaluation.frechet, _FRECHET),
        _set_table("Between performances with other seeds", evaluation.diversity, _DIVERSITY),
    ]
    if evaluation.drifts:
        shown.append(_drift_table(evaluation.drifts))
    return [table for table in shown if table.row_count]


_SYNC: Final = {
    "stretches": "sync.stretches",
    "C*": "sync.confidence",
    "D*": "sync.distance",
    "D* as shown": "sync.unshifted",
    "within 1": "sync.near",
    "preferred": "sync.preferred",
    "by": "sync.margin",
    "+-": "sync.margin_error",
    "gap r": "articulation.gap_correlation",
    "gap size": "articulation.gap_size",
    "B P M shut": "articulation.closure_rate",
}
_GAPS: Final = {symbol: f"articulation.apertures.{symbol}" for symbol in GRID_APERTURES} | {
    "mean error": "articulation.aperture_error"
}
_FACE: Final = {
    "yaw": "liveliness.yaw_sd",
    "pitch": "liveliness.pitch_sd",
    "roll SD deg": "liveliness.roll_sd",
    "deg/s": "liveliness.head_speed",
    "blinks/min": "liveliness.blinks_per_minute",
    "upper SD": "liveliness.upper_face_sd",
    "head jerk": "liveliness.head_jerk",
    "lip jerk": "liveliness.lip_jerk",
    "head seam": "liveliness.head_seam",
    "lip seam": "liveliness.lip_seam",
}
_UPPER_FACE: Final = {
    "gaze SD": "upper_face.gaze_sd",
    "away": "upper_face.away",
    "saccades/min": "upper_face.saccades_per_minute",
    "brow SD": "upper_face.brow_sd",
    "raises/min": "upper_face.brow_raises_per_minute",
    "furrow SD": "upper_face.furrow_sd",
}
_RENDERED: Final = {
    "frames": "rendered.frames",
    "no face": "rendered.unseen",
    "identity": "rendered.identity",
    "other's": "rendered.stranger",
    "CPBD": "rendered.cpbd",
    "to still": "rendered.cpbd_to_still",
    "to crop": "rendered.cpbd_to_crop",
    "Glo": "rendered.head_motion",
    "Exp": "rendered.expression",
}
_FRECHET: Final = {"windows": "windows", "FVD": "distance"}
_DIVERSITY: Final = {
    "seeds": "seeds",
    "minutes": "minutes",
    "head deg": "head",
    "brows": "brows",
    "gaze": "gaze",
    "lip gap": "gap",
    "landmarks": "landmarks",
}


def _table(title: str, rows: Sequence[Row], columns: dict[str, str]) -> Table:
    table = Table("takes", "system", "lips", title=title)
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [_cell(_at(row, path)) for path in columns.values()]
        if any(cells):
            table.add_row(row.takes, row.system, row.lips, *cells)
    if columns is _GAPS:
        table.add_row("GRID", "means of the corpus", "", *map(_cell, GRID_APERTURES.values()), "")
    return table


def _set_table(
    title: str, figures: Sequence[FrechetFigures | Diversity], columns: dict[str, str]
) -> Table:
    table = Table("takes", "system", title=title)
    for name in columns:
        table.add_column(name, justify="right")
    for one in figures:
        cells = (_cell(_at(one, path)) for path in columns.values())
        table.add_row(one.takes, one.system, *cells)
    return table


def _drift_table(drifts: Sequence[Drift]) -> Table:
    paths = {
        "level": "level",
        "gap SD": "gap_sd",
        "C*": "sync.confidence",
        "yaw SD": "liveliness.yaw_sd",
        "pitch SD": "liveliness.pitch_sd",
        "roll SD": "liveliness.roll_sd",
        "deg/s": "liveliness.head_speed",
        "blinks/min": "liveliness.blinks_per_minute",
        "head jerk": "liveliness.head_jerk",
    }
    table = Table("system", "minute", *paths, title="One unbroken stream")
    for one in drifts:
        for name, minute in (("first", one.first), (f"last of {one.minutes:.1f}", one.last)):
            table.add_row(one.system, name, *(_cell(_at(minute, path)) for path in paths.values()))
    return table


def _at(value: Any, path: str) -> Any:
    """Follow a dotted path through attributes and keys; None where it ends early."""
    for name in path.split("."):
        if value is None:
            return None
        value = getattr(value, name) if is_dataclass(value) else value.get(name)
    return value


def _cell(value: float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _rounded(value: Any) -> Any:
    """The same with floats shortened and NaN, which JSON does not know, as None."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
