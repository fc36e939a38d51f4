"""Bars side by side as inline SVG, from zero upwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from reporting.charts import LEFT, RIGHT, TOP, Values, colours, legend, ticks, written

BELOW = 22
GAP_SHARE = 0.2
"""Of a group's width, to the next one."""


@dataclass(frozen=True)
class Bars:
    """A group of bars for each name, a bar for each of `bars`; None: not measured, no bar."""

    title: str
    unit: str
    names: Sequence[str]
    bars: Mapping[str, Values]
    width: int = 640
    height: int = 250

    def __post_init__(self) -> None:
        for name, values in self.bars.items():
            if len(values) != len(self.names):
                raise ValueError(f"{name} has {len(values)} bars for {len(self.names)} names")


def svg(bars: Bars) -> str:
    """One figure with a caption and a legend; a line alone where nothing was measured."""
    known = [value for values in bars.bars.values() for value in values if value is not None]
    if not known:
        return f"<figure><figcaption>{escape(bars.title)}: not measured</figcaption></figure>"
    levels = ticks(0.0, max(known))
    return (
        f"<figure><figcaption>{escape(bars.title)}{f', {bars.unit}' if bars.unit else ''}"
        f"{legend(list(bars.bars))}</figcaption>"
        f'<svg viewBox="0 0 {bars.width} {bars.height}" role="img" '
        f'aria-label="{escape(bars.title)}">{_grid(bars, levels)}{_drawn(bars, levels[-1])}'
        "</svg></figure>"
    )


def _grid(bars: Bars, levels: Sequence[float]) -> str:
    parts = []
    for level in levels:
        y = _y(bars, level, levels[-1])
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{bars.width - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="left">{written(level)}</text>')
    return "".join(parts)


def _drawn(bars: Bars, highest: float) -> str:
    group = (bars.width - LEFT - RIGHT) / max(1, len(bars.names))
    each = group * (1 - GAP_SHARE) / max(1, len(bars.bars))
    parts = []
    for place, name in enumerate(bars.names):
        x = LEFT + group * place
        middle, below = f"{x + group / 2:.1f}", bars.height - 6
        parts.append(f'<text x="{middle}" y="{below}" class="below">{escape(name)}</text>')
        x += group * GAP_SHARE / 2
        for colour, values in zip(colours(len(bars.bars)), bars.bars.values(), strict=True):
            value = values[place]
            if value is not None:
                y = _y(bars, value, highest)
                parts.append(
                    f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{each:.1f}" '
                    f'height="{_y(bars, 0.0, highest) - y:.1f}" fill="{colour}"/>'
                )
            x += each
    return "".join(parts)


def _y(bars: Bars, value: float, highest: float) -> float:
    return bars.height - BELOW - (bars.height - BELOW - TOP) * value / highest
