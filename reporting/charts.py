"""Curves as inline SVG: nothing has to be fetched to look at them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from reporting.trend import Trend

Values = Sequence[float | None]

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 34
TICKS = 5
COLOURS = (
    "#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4b5563",
    "#65a30d", "#92400e",
)  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """Lines over hours. `line`: a fitted one; `goal`: a level; `events`: moments."""

    title: str
    unit: str
    at_h: Sequence[float]
    lines: Mapping[str, Values]
    line: Trend | None = None
    goal: float | None = None
    events: Sequence[float] = ()
    from_zero: bool = False


def svg(chart: Chart) -> str:
    """One figure with a caption and a legend; a line alone where nothing was measured."""
    known = [value for values in chart.lines.values() for value in values if value is not None]
    if not known or not chart.at_h:
        return f"<figure><figcaption>{escape(chart.title)}: not measured</figcaption></figure>"
    if chart.goal is not None:
        known.append(chart.goal)
    levels = ticks(0.0 if chart.from_zero else min(known), max(known))
    plane = _Plane(chart.at_h[-1] or 1.0, levels[0], levels[-1])
    parts = [_grid(plane, levels)]
    if chart.goal is not None:
        parts.append(plane.line([(0, chart.goal), (plane.hours, chart.goal)], "goal"))
    parts += [plane.line([(at, plane.low), (at, plane.high)], "event") for at in chart.events]
    for colour, (_, values) in zip(colours(len(chart.lines)), chart.lines.items(), strict=True):
        points = [(at, v) for at, v in zip(chart.at_h, values, strict=True) if v is not None]
        parts.append(plane.line(points, "curve", colour))
    if chart.line is not None:
        ends = [(at, chart.line.at_start + chart.line.per_hour * at) for at in (0, plane.hours)]
        parts.append(plane.line(ends, "fitted"))
    return (
        f"<figure><figcaption>{escape(chart.title)}{f', {chart.unit}' if chart.unit else ''}"
        f"{legend(list(chart.lines))}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">'
        f'<clipPath id="plane"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>{"".join(parts)}</svg></figure>'
    )


@dataclass(frozen=True)
class _Plane:
    """Where values lie in the picture."""

    hours: float
    low: float
    high: float

    def x(self, at_h: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_h / self.hours

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def line(self, points: Sequence[tuple[float, float]], kind: str, colour: str = "") -> str:
        drawn = " ".join(f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in points)
        stroke = f' stroke="{colour}"' if colour else ""
        return f'<polyline class="{kind}"{stroke} clip-path="url(#plane)" points="{drawn}"/>'


def _grid(plane: _Plane, levels: Sequence[float]) -> str:
    parts = []
    for tick in levels:
        y = plane.y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="left">{written(tick)}</text>')
    in_minutes = plane.hours < 1.5
    unit, length = ("min", 60 * plane.hours) if in_minutes else ("h", plane.hours)
    for tick in ticks(0, length):
        if tick <= length * 1.001:
            x = plane.x(tick / 60 if in_minutes else tick)
            parts.append(
                f'<text x="{x:.1f}" y="{HEIGHT - 14}" class="below">{written(tick)} {unit}</text>'
            )
    return "".join(parts)


def legend(names: Sequence[str]) -> str:
    """What colour each name has; nothing where there is one alone."""
    if len(names) < 2:
        return ""
    items = (
        f'<span style="color:{colour}">&#9632; {escape(name)}</span>'
        for colour, name in zip(colours(len(names)), names, strict=True)
    )
    return "<br>" + " ".join(items)


def colours(count: int) -> list[str]:
    """So many, from the beginning again where there are more."""
    return [COLOURS[at % len(COLOURS)] for at in range(count)]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from below the lowest to above the highest."""
    span = high - low or max(abs(high), 1.0) / 10
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * round_ for round_ in (1, 2, 2.5, 5, 10) if power * round_ >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * at for at in range(first, max(last, first + 1) + 1)]


def written(value: float) -> str:
    """A number as short as it can be."""
    return f"{round(value, 6):g}"
