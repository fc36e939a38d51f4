"""Lips by voice: does every voice close and open them as it should?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from actor_server.evaluation.apertures import compared, truth_of
from actor_server.evaluation.cells import cell
from actor_server.evaluation.scoring import Row


@dataclass(frozen=True)
class VoiceLips:
    """Share of a voice's B P M in which the lips meet; gap of its open vowels over the truth's."""

    voice: str
    closed: float | None
    opened: float | None


def voices_of(row: Row, rows: Sequence[Row]) -> Iterator[VoiceLips]:
    """Each voice of a row, beside the truth in the same voice."""
    truth = truth_of(row, rows)
    for voice, lips in row.by_voice.items():
        theirs = compared(lips, truth.by_voice.get(voice)) if truth else None
        yield VoiceLips(voice, lips.closure_rate, theirs.open_vowels if theirs else None)


def voice_table(rows: Sequence[Row]) -> Table:
    """Every voice of every row that tells voices apart."""
    table = Table("takes", "system", "lips", "voice", title="Lips by voice")
    for name in ("B P M shut", "open vowels"):
        table.add_column(name, justify="right")
    for row in rows:
        for one in voices_of(row, rows):
            shown = (cell(one.closed), cell(one.opened))
            table.add_row(row.takes, row.system, row.lips, one.voice, *shown)
    return table
