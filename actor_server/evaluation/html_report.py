"""The evaluation as one HTML file: goals, tables, figures, curves and contact sheets."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from actor_server.evaluation.apertures import OPEN_VOWELS, TRUTHS
from actor_server.evaluation.articulation import GRID_APERTURES
from actor_server.evaluation.audio_lip_judge import SHIFT
from actor_server.evaluation.drift import CURVES, Drift
from actor_server.evaluation.drift_report import written_slope
from actor_server.evaluation.explanations import LEAD, LIPS, SYSTEMS, TAKES
from actor_server.evaluation.html_sheets import portraits_section, sheets_section
from actor_server.evaluation.html_tables import section
from actor_server.evaluation.report import Evaluation, tables
from actor_server.evaluation.scoring import Row
from actor_server.evaluation.systems import Procedural
from reporting import bars, charts
from reporting.bars import Bars
from reporting.charts import Chart
from reporting.page import document

TITLE: Final = "The nano Actor, measured"
STYLE: Final = """
.own td{background:#eff6ff}.wide{overflow-x:auto}summary{cursor:pointer;color:#6b7280}
details table td{color:#4b5563}.sheets img{max-width:100%}.sheets figure{margin:1.5rem 0}
.sheets figcaption{font-weight:400}
"""
EVERY_SHIFT: Final = 5
"""So many bars of a histogram share one number below."""
PHONES: Final = tuple(dict.fromkeys((*GRID_APERTURES, *OPEN_VOWELS)))


def html(evaluation: Evaluation, sheets: Path | None = None, portraits: Path | None = None) -> str:
    """The whole page; `sheets`: a folder of pictures of the same moments, `portraits`: one of
    contact sheets by `portrait_sheets`."""
    parts = [_head(evaluation)]
    figures = {
        "Best shift of a stretch, frames": _grid(_offsets(evaluation.rows), small=True),
        "Gap of open vowels over the truth's": _grid(_apertures(evaluation)),
        "One unbroken stream": _grid(_curves(evaluation)),
    }
    for table in tables(evaluation):
        parts.append(section(table, evaluation.actor))
        parts.append(figures.get(str(table.title), ""))
    parts.append(sheets_section(sheets))
    parts.append(portraits_section(portraits))
    return document(TITLE, "\n".join(parts), STYLE)


def _head(evaluation: Evaluation) -> str:
    about = evaluation.about
    machine, settings = about.get("machine", {}), about.get("settings", {})
    return (
        f"<h1>{TITLE}</h1><p>{escape(LEAD)}</p>"
        f"<p>{escape(_listed(machine))}; commit "
        f"{escape(str(about.get('commit', ''))[:12])}. {escape(_listed(settings))}</p>"
        f"<h2>Who performs</h2>{_terms(SYSTEMS)}<h2>What is performed</h2>{_terms(TAKES)}"
        f"<p>{escape(LIPS)}</p>"
    )


def _terms(terms: dict[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in terms.items())
    return f"<table>{rows}</table>"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def _offsets(rows: Sequence[Row]) -> Iterator[str]:
    """A histogram of each row's best shifts."""
    names = [str(s) if s % EVERY_SHIFT == 0 else "" for s in range(-SHIFT, SHIFT + 1)]
    for row in rows:
        if row.sync is not None:
            title = f"{row.takes}: {row.system}, {row.lips}"
            counts = list(map(float, row.sync.shifts))
            yield bars.svg(Bars(title, "", names, {"stretches": counts}, width=380, height=150))


def _apertures(evaluation: Evaluation) -> Iterator[str]:
    """The gap at each phone beside GRID's mean and the truth's, for each kind of takes and lips."""
    shown = (*TRUTHS, Procedural().label, evaluation.actor)
    rows = [row for row in evaluation.rows if row.system in shown and row.articulation]
    for takes, lips in dict.fromkeys((row.takes, row.lips) for row in rows):
        drawn = {"GRID's means": [GRID_APERTURES.get(phone) for phone in PHONES]}
        for row in rows:
            if (row.takes, row.lips) == (takes, lips) and row.articulation:
                drawn[row.system] = [row.articulation.apertures.get(phone) for phone in PHONES]
        yield bars.svg(Bars(f"{takes}, {lips}", "eye distances", PHONES, drawn))


def _curves(evaluation: Evaluation) -> Iterator[str]:
    """What is followed through the streams; the dashed line is fitted to the Actor's."""
    drifts = evaluation.drifts
    own = next((drift for drift in drifts if drift.system == evaluation.actor), None)
    for name in CURVES if drifts else ():
        chart = Chart(
            f"{name} {_change(own, name)}".strip(),
            "",
            [minute / 60 for minute in drifts[0].at_min],
            {drift.system: drift.values(name) for drift in drifts},
            line=own.slope(name) if own else None,
        )
        yield charts.svg(chart)


def _change(drift: Drift | None, name: str) -> str:
    slope = written_slope(drift, name) if drift else ""
    return f"({drift.system}: {slope} an hour)" if drift and slope else ""


def _grid(figures: Iterator[str], *, small: bool = False) -> str:
    return f'<div class="{"small " if small else ""}charts">{"".join(figures)}</div>'
