"""How far the picture runs before or behind the sound, stretch by stretch."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from actor_server.evaluation.audio_lip_judge import SHIFT
from actor_server.evaluation.cells import cell
from actor_server.evaluation.scoring import Row

SHOWN: Final = 3
"""Shifts of more frames than that share a column on either side."""


def offset_table(rows: Sequence[Row]) -> Table:
    """How many stretches of each row fit the sound best at each shift, and their median shift."""
    table = Table("takes", "system", "lips", title="Best shift of a stretch, frames")
    shown = [f"{shift:+d}" for shift in range(-SHOWN, SHOWN + 1)]
    before, after = f"-{SHIFT} .. -{SHOWN + 1}", f"+{SHOWN + 1} .. +{SHIFT}"
    for name in ("stretches", before, *shown, after, "median"):
        table.add_column(name, justify="right")
    for row in rows:
        if row.sync is None:
            continue
        cells = [row.sync.stretches, *binned(row.sync.shifts), median_shift(row.sync.shifts)]
        table.add_row(row.takes, row.system, row.lips, *map(cell, cells))
    return table


def binned(shifts: Sequence[int]) -> list[int]:
    """Counts at -SHIFT .. SHIFT as counts at: before -SHOWN, -SHOWN .. SHOWN, after SHOWN."""
    first, after = SHIFT - SHOWN, SHIFT + SHOWN + 1
    return [sum(shifts[:first]), *shifts[first:after], sum(shifts[after:])]


def median_shift(shifts: Sequence[int]) -> int:
    """The shift, frames, at or below which half of the stretches lie."""
    below, half = 0, sum(shifts) / 2
    for shift, count in enumerate(shifts, start=-SHIFT):
        below += count
        if below >= half:
            return shift
    raise ValueError("no stretch was judged")
