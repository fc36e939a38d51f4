"""A soak as one HTML file with curves, to be opened anywhere."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from reporting.charts import Chart, svg
from reporting.page import document, embedded
from services.soak.findings import Finding, slope
from services.soak.report import written
from services.soak.samples import MEASURING, Sample, Soak
from services.soak.series import Values, curves

MOST_FRAMES = 8


def html(soak: Soak, found: Sequence[Finding], frames: Path) -> str:
    """The whole page; `frames`: where those of the call are kept."""
    about = soak.about
    length_min = soak.samples[-1].at_s / 60
    body = f"""<h1>A call of {length_min:.0f} minutes</h1>
<p>{escape(soak.end)}; {about.hours:g} h were wanted. Avatar {escape(about.avatar)}, preset
{escape(about.preset)}, {escape(about.brain)}.</p>
<p>{escape(_machine(about.machine))}</p>
{_table(found)}
<p>Slopes leave out the first tenth of the call. Dashed: the fitted line. Dotted: the goal. Red: a
question without an answer, or a process that was started again.</p>
<div class="charts">{"".join(svg(chart) for chart in _charts(soak))}</div>
<h2>Frames as the browser showed them</h2><div class="frames">{_frames(frames)}</div>"""
    return document("X-Streamer soak", body)


def _machine(machine: Mapping[str, Any]) -> str:
    changed = f" with {machine['changed_files']} changed files" if machine["changed_files"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{machine['system']}, Python {machine['python']}; commit {machine['commit'][:12]}"
        f"{changed}, {machine['measured_at']}"
    )


def _table(found: Sequence[Finding]) -> str:
    rows = "".join(
        f'<tr><td>{escape(one.label)}</td><td class="number">{escape(written(one))}</td>'
        f'<td>{escape(one.wanted)}</td><td class="{one.verdict}">{one.verdict}</td></tr>'
        for one in found
    )
    return f"<table><tr><th>figure<th>measured<th>goal<th></tr>{rows}</table>"


def _charts(soak: Soak) -> list[Chart]:
    drawn, events = curves(soak.samples), _events(soak.samples)
    single = drawn.single

    def chart(title: str, unit: str, lines: dict[str, Values], **more: Any) -> Chart:
        return Chart(title, unit, drawn.at_h, lines, events=events, **more)

    def fitted(title: str, unit: str, key: str, **more: Any) -> Chart:
        return chart(title, unit, {title: single[key]}, line=slope(drawn.at_h, single[key]), **more)

    return [
        fitted("heap of all processes", "MB", "heap_mb"),
        chart("heap by process", "MB", _without_us(drawn.heap_mb), from_zero=True),
        chart("growth of that since the first sample", "MB", _since_first(drawn.heap_mb)),
        chart("CPU by process", "% of a core", _without_us(drawn.cpu_percent), from_zero=True),
        fitted("frames a second", "", "fps", goal=24.0),
        chart(
            "picture late against sound",
            "ms",
            {"median": single["av_offset_ms"], "p95 either way": single["av_offset_abs_p95_ms"]},
            line=slope(drawn.at_h, single["av_offset_ms"]),
        ),
        chart(
            "held by the browser",
            "ms",
            {"sound": single["sound_held_ms"], "picture": single["picture_held_ms"]},
            from_zero=True,
        ),
        chart("time that the host took", "", {"stolen": single["stolen"]}, from_zero=True),
        fitted("voice end to lips moving", "ms", "voice_to_face_ms"),
        chart(
            "likeness",
            "",
            {"with the portrait": single["identity"], "with the first": single["identity_first"]},
            line=slope(drawn.at_h, single["identity"]),
            goal=0.8,
        ),
        fitted("sharpness (variance of the Laplacian)", "", "sharpness"),
        fitted("file handles of all processes", "", "handles"),
        chart("file handles since the first sample", "", _since_first(drawn.handles)),
        fitted("threads of all processes", "", "threads"),
        chart("freezes in a sample", "", {"freezes": single["freezes"]}, from_zero=True),
        chart("sound made up", "ms", {"concealed": single["concealed_ms"]}, from_zero=True),
    ]


def _without_us(lines: dict[str, Values]) -> dict[str, Values]:
    return {name: values for name, values in lines.items() if name != MEASURING}


def _since_first(lines: dict[str, Values]) -> dict[str, Values]:
    """Growth, which curves from zero do not show."""
    grown: dict[str, Values] = {}
    for name, values in _without_us(lines).items():
        first = next((value for value in values if value is not None), 0.0)
        grown[name] = [None if value is None else value - first for value in values]
    return grown


def _events(samples: Sequence[Sample]) -> list[float]:
    lost = [one.at_s / 3600 for sample in samples for one in sample.unanswered]
    again = [now.at_s / 3600 for before, now in pairwise(samples) if now.restarts > before.restarts]
    return lost + again


def _frames(folder: Path) -> str:
    """Some of the kept frames, evenly spread, inside the page."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        return "none were kept"
    chosen = np.unique(np.linspace(0, len(files) - 1, min(len(files), MOST_FRAMES)).round())
    parts = []
    for file in (files[int(at)] for at in chosen):
        minutes = float(file.stem) / 60
        parts.append(f"<div>{embedded(file.read_bytes())}<br>{minutes:.1f} min</div>")
    return "".join(parts)
