"""What the nano Actor is to reach, and whether it does."""

import math
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from actor_server.evaluation.apertures import to_truth, truth_of
from actor_server.evaluation.cells import at, cell
from actor_server.evaluation.drift import Drift
from actor_server.evaluation.frechet import FrechetFigures
from actor_server.evaluation.scoring import Row
from actor_server.evaluation.systems import Procedural
from actor_server.evaluation.voices import voices_of
from reporting.goals import Figures, Goal

HEAD_SD_DEG: Final = {"yaw": 3.7, "pitch": 2.9, "roll": 2.8}
"""Standard deviations in public talking heads, 432 s of them."""
BLINKS_PER_MINUTE: Final = (15.0, 25.0)
"""The usual range of people who talk."""
TOLERANCE: Final = 0.2
CLOSED: Final = 0.95
OPENED: Final = (0.9, 1.1)
NODS: Final = 0.35
BROWS: Final = 0.15
"""A third to a half of what the rules do, the Actor's teacher: .81 above chance, .31 and .43."""
REPEATED: Final = 0.95
LIPS: Final = {"latents": "lips of latents", "seen": "lips seen in drawn frames"}
_ABOVE_ZERO: Final = math.ulp(0.0)
_FACE: Final = {
    "yaw_sd": "liveliness.yaw_sd",
    "pitch_sd": "liveliness.pitch_sd",
    "roll_sd": "liveliness.roll_sd",
    "blinks": "liveliness.blinks_per_minute",
    "identity": "rendered.identity",
    "cpbd_to_crop": "rendered.cpbd_to_crop",
    "cpbd_to_still": "rendered.cpbd_to_still",
}
"""Where a row of new sentences holds a figure, if it does."""


def _goals() -> tuple[Goal, ...]:
    goals: list[Goal] = []
    for lips, said in LIPS.items():
        goals += [
            Goal(f"c_share_grid_{lips}", f"C* over the truth's, GRID, {said}", "", ">= 0.86", 0.86),
            Goal(f"near_grid_{lips}", f"offset within 1 frame, GRID, {said}", "", ">= 0.95", 0.95),
        ]
        for takes, called in {"grid": "GRID", "spoken": "new sentences"}.items():
            key, where = f"{takes}_{lips}", f"{called}, {said}"
            goals += [
                Goal(f"closed_{key}", f"B P M with a gap <= 0.03, {where}", "", ">= 0.95", CLOSED),
                Goal(
                    f"aperture_{key}",
                    f"open vowels, {where}",
                    "of the truth's",
                    "0.9 .. 1.1",
                    *OPENED,
                ),
            ]
        goals += [
            Goal(
                f"c_over_teacher_{lips}",
                f"C* above the teacher's by, {said}",
                "",
                "> 0",
                _ABOVE_ZERO,
            ),
            Goal(
                f"d_over_teacher_{lips}",
                f"D* below the teacher's by, {said}",
                "",
                "> 0",
                _ABOVE_ZERO,
            ),
        ]
    goals.append(Goal("voices", "voices that shut and open so, new sentences", "", ">= 3", 3))
    for axis, wanted in HEAD_SD_DEG.items():
        low, high = (1 - TOLERANCE) * wanted, (1 + TOLERANCE) * wanted
        said = f"{low:.2f} .. {high:.2f}"
        goals.append(Goal(f"{axis}_sd", f"{axis} SD, new sentences", "deg", said, low, high))
    low, high = (1 - TOLERANCE) * BLINKS_PER_MINUTE[0], (1 + TOLERANCE) * BLINKS_PER_MINUTE[1]
    goals += [
        Goal("blinks", "blinks, new sentences", "a minute", f"{low:.0f} .. {high:.0f}", low, high),
        Goal("nods", "nods at the caller's pauses, above chance by", "", ">= 0.35", NODS),
        Goal("brows_follow", "brows with the caller's loudness, r", "", ">= 0.15", BROWS),
        Goal("brows_follow_pitch", "and with their pitch, partial r", "", ">= 0.15", BROWS),
        Goal("repetition", "likest two stretches of a minute, r", "", "<= 0.95", high=REPEATED),
        Goal("identity", "identity (SFace with the portrait)", "", ">= 0.80", 0.80),
        Goal("identity_drift", "its change in an hour, at most (95 %)", "", "<= 0.02", high=0.02),
        Goal("cpbd_to_crop", "CPBD over the portrait's", "", ">= 1", 1.0),
        Goal("cpbd_to_still", "CPBD over the unmoved face's", "", ">= 1", 1.0),
        Goal("fvd_over_teacher", "FVD below the teacher's by", "", "> 0", _ABOVE_ZERO),
    ]
    return tuple(goals)


GOALS: Final = _goals()


def goal_figures(rows: Sequence[Row], actor: str, supplied: Figures) -> dict[str, float | None]:
    """The figures that the goals are about, of the rows of the system `actor`.

    `supplied` has those that no row holds; what is missing was not measured.
    """
    figures: dict[str, float | None] = dict(supplied)
    for row in rows:
        if row.system != actor:
            continue
        kind = "latents" if row.lips == "latents" else "seen"
        figures |= _lips(row, rows, f"{row.takes}_{kind}")
        if row.takes == "grid":
            figures |= _against_teacher(row, rows, kind)
        if row.takes == "mixed" and kind == "latents":
            figures |= _listening(row)
        if row.takes == "spoken":
            measured = {key: at(row, path) for key, path in _FACE.items()}
            if kind == "latents" and row.by_voice:
                measured["voices"] = _voices_that_fit(row, rows)
            figures |= {key: value for key, value in measured.items() if value is not None}
    return figures


def fvd_figures(figures: Sequence[FrechetFigures], actor: str) -> dict[str, float | None]:
    """By how much the videos of `actor` are nearer to the truth's than the teacher's."""
    distances = {one.system: one.distance for one in figures}
    own, teacher = distances.get(actor), distances.get(Procedural().label)
    return {} if own is None or teacher is None else {"fvd_over_teacher": teacher - own}


def drift_figures(drifts: Sequence[Drift], actor: str) -> dict[str, float | None]:
    """How much the likeness may change in an hour: the end of its interval farther from none; and
    the minute in which the head repeats itself most."""
    figures: dict[str, float | None] = {}
    for one in (one for one in drifts if one.system == actor):
        if line := one.slope("identity"):
            figures["identity_drift"] = max(-line.low, line.high)
        again = [value for value in one.values("repetition") if value is not None]
        figures["repetition"] = max(again, default=None)
    return figures


def goal_table(figures: Figures) -> Table:
    """Every goal with its figure and the verdict."""
    table = Table("goal", "measured", "wanted", "", title="Goals")
    table.columns[1].justify = "right"
    styles = {"met": "green", "missed": "red", "not measured": "yellow"}
    for goal in GOALS:
        verdict, value = goal.verdict(figures), figures.get(goal.key)
        wanted = f"{goal.wanted} {goal.unit}".strip()
        table.add_row(goal.label, cell(value), wanted, f"[{styles[verdict]}]{verdict}[/]")
    return table


def _listening(row: Row) -> dict[str, float | None]:
    """What a face does while the caller talks."""
    seen = row.listening
    if seen is None:
        return {}
    nods, chance = seen.nods, seen.nods_by_chance
    return {
        "nods": None if nods is None or chance is None else nods - chance,
        "brows_follow": seen.brows_follow,
        "brows_follow_pitch": seen.brows_follow_pitch,
    }


def _lips(row: Row, rows: Sequence[Row], key: str) -> dict[str, float | None]:
    truth, compared = truth_of(row, rows), to_truth(row, rows)
    figures: dict[str, float | None] = {
        f"aperture_{key}": compared.open_vowels if compared else None,
        f"closed_{key}": row.articulation.closure_rate if row.articulation else None,
        f"near_{key}": row.sync.near if row.sync else None,
    }
    if row.sync and truth and truth.sync and truth.sync.confidence > 0:
        figures[f"c_share_{key}"] = row.sync.confidence / truth.sync.confidence
    return figures


def _voices_that_fit(row: Row, rows: Sequence[Row]) -> float:
    low, high = OPENED
    return sum(
        one.closed >= CLOSED and low <= one.opened <= high
        for one in voices_of(row, rows)
        if one.closed is not None and one.opened is not None
    )


def _against_teacher(row: Row, rows: Sequence[Row], kind: str) -> dict[str, float | None]:
    teacher = Procedural().label
    for other in rows:
        same = (other.system, other.takes, other.lips) == (teacher, row.takes, row.lips)
        if same and row.sync and other.sync:
            return {
                f"c_over_teacher_{kind}": row.sync.confidence - other.sync.confidence,
                f"d_over_teacher_{kind}": other.sync.distance - row.sync.distance,
            }
    return {}
