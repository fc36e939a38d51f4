"""The tables of the terminal as HTML, each with what its columns mean."""

from collections.abc import Sequence
from html import escape
from typing import Final

from rich.table import Table
from rich.text import Text

from actor_server.evaluation.explanations import MEASURES, TABLES

VERDICTS: Final = {"met": "met", "missed": "missed", "not measured": "unmeasured"}
"""Classes of the page's style."""


def section(table: Table, own: str) -> str:
    """A table under its title, and below it what it shows; rows of the system `own` stand out."""
    title = str(table.title or "")
    names = [str(column.header) for column in table.columns]
    return (
        f"<h2>{escape(title)}</h2><p>{escape(TABLES.get(title, ''))}</p>"
        f'<div class="wide">{_grid(table, names, own)}</div>{meanings(names + _first(table))}'
    )


def meanings(names: Sequence[str]) -> str:
    """What each of the named figures is and which direction is good, folded away."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(said)}</td><td>{escape(direction)}</td></tr>"
        for name in dict.fromkeys(names)
        if name in MEASURES
        for direction, said in [MEASURES[name]]
    )
    if not rows:
        return ""
    return f"<details open><summary>what this means</summary><table>{rows}</table></details>"


def _grid(table: Table, names: Sequence[str], own: str) -> str:
    right = [column.justify == "right" for column in table.columns]
    heads = "".join(
        f'<th{_class("number" if number else "")} title="{escape(_hint(name))}">{escape(name)}'
        for name, number in zip(names, right, strict=True)
    )
    rows = []
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        plain = [Text.from_markup(str(cell)).plain for cell in cells]
        told = "".join(
            f"<td{_class('number' if number else VERDICTS.get(cell, ''))}>{escape(cell)}"
            for cell, number in zip(plain, right, strict=True)
        )
        rows.append(f"<tr{_class('own' if own in plain else '')}>{told}")
    return f"<table><tr>{heads}{''.join(rows)}</table>"


def _first(table: Table) -> list[str]:
    """The first column, which names figures in some tables."""
    return [str(cell) for cell in table.columns[0].cells] if table.columns else []


def _hint(name: str) -> str:
    direction, said = MEASURES.get(name, ("", ""))
    return f"{said}; {direction}" if said else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
