"""How wide the lips open at each phone, beside the truth's on the same takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from actor_server.evaluation.articulation import Articulation
from actor_server.evaluation.cells import cell
from actor_server.evaluation.scoring import Row
from actor_server.evaluation.systems import TARGET, Recorded

OPEN_VOWELS: Final = ("AA", "AE", "AH", "AO", "AY", "EH", "EY", "OW")
TRUTHS: Final = (Recorded().label, TARGET)
"""Who plays the stored motion."""


@dataclass(frozen=True)
class ToTruth:
    """Mean gaps over the truth's. `open_vowels`: of all their middles together."""

    open_vowels: float
    phones: dict[str, float]


def truth_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The row of the stored motion with the same takes and the same kind of lips."""
    for other in rows:
        if other.system in TRUTHS and (other.takes, other.lips) == (row.takes, row.lips):
            return other
    return None


def to_truth(row: Row, rows: Sequence[Row]) -> ToTruth | None:
    """Compare a row with its truth; None where there is nothing to compare."""
    truth = truth_of(row, rows)
    return None if truth is None else compared(row.articulation, truth.articulation)


def compared(own: Articulation | None, theirs: Articulation | None) -> ToTruth | None:
    """Lips over the truth's; None where there is nothing to compare."""
    if own is None or theirs is None:
        return None
    gap, wanted = _open_gap(own), _open_gap(theirs)
    if gap is None or not wanted:
        return None
    return ToTruth(
        open_vowels=gap / wanted,
        phones={
            symbol: own.apertures[symbol] / theirs.apertures[symbol]
            for symbol in own.apertures
            if theirs.apertures.get(symbol)
        },
    )


def open_vowel_table(rows: Sequence[Row]) -> Table:
    """The mean gap of each open vowel over the truth's, and how often it was measured."""
    table = Table("takes", "system", "lips", title="Gap of open vowels over the truth's")
    for name in (*OPEN_VOWELS, "together"):
        table.add_column(name, justify="right")
    for row in rows:
        compared = to_truth(row, rows)
        if compared is None or row.articulation is None:
            continue
        if row.system in TRUTHS:
            counts = [row.articulation.counts.get(symbol, 0) for symbol in OPEN_VOWELS]
            table.add_row(
                row.takes, "middles measured", row.lips, *map(cell, [*counts, sum(counts)])
            )
        else:
            ratios = [compared.phones.get(symbol) for symbol in OPEN_VOWELS]
            table.add_row(
                row.takes, row.system, row.lips, *map(cell, [*ratios, compared.open_vowels])
            )
    return table


def _open_gap(lips: Articulation) -> float | None:
    """Mean gap, eye distances, over all middles of open vowels."""
    counts = {symbol: lips.counts[symbol] for symbol in OPEN_VOWELS if symbol in lips.counts}
    if not counts:
        return None
    return sum(lips.apertures[s] * count for s, count in counts.items()) / sum(counts.values())
