"""Bars are as high as what they show."""

import re

import pytest

from reporting.bars import BELOW, Bars, svg
from reporting.charts import TOP

pytestmark = pytest.mark.unit


def drawn(picture: str) -> list[tuple[float, float]]:
    """Left edge and height of each bar."""
    found = re.findall(r'class="bar" x="([\d.]+)".*?height="([\d.]+)"', picture)
    return [(float(x), float(height)) for x, height in found]


def test_bars_stand_side_by_side_and_are_as_high_as_their_values() -> None:
    bars = drawn(svg(Bars("gap", "", ["AA", "B"], {"truth": [0.2, 0.02], "Actor": [0.1, None]})))
    assert [x for x, _ in bars] == sorted(x for x, _ in bars)
    (first, half, small) = (height for _, height in bars)
    assert first == pytest.approx(250 - BELOW - TOP, abs=0.1)  # 0.2 is the highest level
    assert half == pytest.approx(first / 2, abs=0.1)
    assert small == pytest.approx(first / 10, abs=0.1)


def test_what_was_never_measured_is_said_to_be() -> None:
    assert "not measured" in svg(Bars("gap", "", ["AA"], {"Actor": [None]}))


def test_names_and_bars_must_fit() -> None:
    with pytest.raises(ValueError, match="Actor has 1 bars for 2 names"):
        Bars("gap", "", ["AA", "B"], {"Actor": [1.0]})
