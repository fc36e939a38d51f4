"""The evaluation as one JSON object and as tables for people."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.table import Table

from actor_server.evaluation.apertures import open_vowel_table, to_truth
from actor_server.evaluation.articulation import GRID_APERTURES
from actor_server.evaluation.cells import at, cell
from actor_server.evaluation.diversity import Diversity
from actor_server.evaluation.drift import Drift
from actor_server.evaluation.drift_report import drift_json, drift_table
from actor_server.evaluation.frechet import FrechetFigures
from actor_server.evaluation.goals import (
    GOALS,
    drift_figures,
    fvd_figures,
    goal_figures,
    goal_table,
)
from actor_server.evaluation.offsets import offset_table
from actor_server.evaluation.scoring import Row
from actor_server.evaluation.voices import voice_table
from reporting.goals import verdicts

DIGITS: Final = 4


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured. `about`: machine, commit, data, judge, settings.

    `actor`: the system that the goals are about.
    """

    about: dict[str, Any]
    rows: tuple[Row, ...]
    drifts: tuple[Drift, ...]
    frechet: tuple[FrechetFigures, ...] = ()
    diversity: tuple[Diversity, ...] = ()
    actor: str = "Actor"

    @property
    def figures(self) -> dict[str, float | None]:
        """What the goals are held against."""
        of_sets = fvd_figures(self.frechet, self.actor) | drift_figures(self.drifts, self.actor)
        return goal_figures(self.rows, self.actor, of_sets)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """One object ready for JSON; what could not be measured is null."""
    whole = evaluation.about | {
        "goals": verdicts(GOALS, evaluation.figures),
        "grid_apertures": GRID_APERTURES,
        "rows": [_row(row, evaluation.rows) for row in evaluation.rows],
        "drift": [drift_json(drift) for drift in evaluation.drifts],
        "frechet": [asdict(figures) for figures in evaluation.frechet],
        "diversity": [asdict(figures) for figures in evaluation.diversity],
    }
    rounded: dict[str, Any] = as_rounded(whole)
    return rounded


def _row(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    compared = to_truth(row, rows)
    return asdict(row) | {"apertures_to_truth": asdict(compared) if compared else None}


def tables(evaluation: Evaluation) -> list[Table]:
    """The goals, the figures of the rows, of whole sets, and long streams; where there are any."""
    shown = [
        goal_table(evaluation.figures),
        *row_tables(evaluation.rows),
        _set_table("Videos as a set (FVD)", evaluation.frechet, _FRECHET),
        _set_table("Between performances with other seeds", evaluation.diversity, _DIVERSITY),
    ]
    if evaluation.drifts:
        shown.append(drift_table(evaluation.drifts))
    return [table for table in shown if table.row_count]


def row_tables(rows: Sequence[Row]) -> list[Table]:
    """Sync and articulation, offsets, apertures, the rest of the face; those that have rows."""
    shown = [
        _table("Lips and sound", rows, _SYNC),
        offset_table(rows),
        _table("Inner lip gap in the middle of a phone, eye distances", rows, _GAPS),
        open_vowel_table(rows),
        voice_table(rows),
        _table("Head and face", rows, _FACE),
        _table("Eyes and brows", rows, _UPPER_FACE),
        _table("While the caller talks", rows, _LISTENING),
        _table("Drawn frames", rows, _RENDERED),
    ]
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
_LISTENING: Final = {
    "pauses": "listening.pauses",
    "nods": "listening.nods",
    "by chance": "listening.nods_by_chance",
    "brows follow": "listening.brows_follow",
    "and pitch": "listening.brows_follow_pitch",
    "contact": "listening.contact",
    "listening deg/s": "listening.listening_speed",
    "idle deg/s": "listening.idle_speed",
    "speaking deg/s": "listening.speaking_speed",
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
        cells = [cell(at(row, path)) for path in columns.values()]
        if any(cells):
            table.add_row(row.takes, row.system, row.lips, *cells)
    if columns is _GAPS:
        table.add_row("GRID", "means of the corpus", "", *map(cell, GRID_APERTURES.values()), "")
    return table


def _set_table(
    title: str, figures: Sequence[FrechetFigures | Diversity], columns: dict[str, str]
) -> Table:
    table = Table("takes", "system", title=title)
    for name in columns:
        table.add_column(name, justify="right")
    for one in figures:
        cells = (cell(at(one, path)) for path in columns.values())
        table.add_row(one.takes, one.system, *cells)
    return table


def as_rounded(value: Any) -> Any:
    """The same with floats shortened and NaN, which JSON does not know, as None."""
    if isinstance(value, dict):
        return {key: as_rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_rounded(inner) for inner in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
