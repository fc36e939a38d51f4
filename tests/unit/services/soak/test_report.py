"""The JSON stays small, the page needs nothing but itself."""

import json
import re
from pathlib import Path

import pytest

from reporting.charts import Chart, svg
from services.soak.findings import findings
from services.soak.page import html
from services.soak.report import as_json, report
from services.soak.series import MOST_POINTS, thinned
from tests.unit.services.soak.scene import soak

pytestmark = pytest.mark.unit


def test_ten_hours_make_a_small_file_with_their_slope() -> None:
    whole = soak(hours=10, leak_mb=60)
    text = as_json(report(whole, findings(whole)))
    told = json.loads(text)
    assert len(text) < 100_000
    assert told["samples"] == 1200
    assert told["machine"]["commit"] == "0123456789abcdef"
    assert told["figures"]["memory_slope"]["verdict"] == "missed"
    assert told["figures"]["memory_slope"]["value"] == pytest.approx(60, abs=1)
    curves = told["curves"]
    assert len(curves["at_h"]) == len(curves["heap_mb"]) == MOST_POINTS
    assert curves["heap_mb"][-1] - curves["heap_mb"][0] == pytest.approx(600, abs=15)


def test_thinning_keeps_short_series_and_the_mean_of_long_ones() -> None:
    assert thinned([1.0, None, 3.0]) == [1.0, None, 3.0]
    long = [float(at) for at in range(4 * MOST_POINTS)]
    short = thinned(long)  # type: ignore[arg-type]
    assert len(short) == MOST_POINTS
    assert short[0] == 1.5


def test_the_page_is_whole_by_itself(tmp_path: Path) -> None:
    (tmp_path / "000030.jpg").write_bytes(b"a picture")
    whole = soak(silent_at_s=900)
    page = html(whole, findings(whole), tmp_path)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("<svg") >= 12
    assert "data:image/jpeg" in page
    assert 'class="missed"' in page
    assert not re.search(r"\bnan\b", page)


def test_a_page_of_what_was_never_measured_says_so() -> None:
    chart = Chart("identity", "", [0.1, 0.2], {"identity": [None, None]})
    assert "not measured" in svg(chart)


def test_a_flat_curve_lies_inside_its_picture() -> None:
    drawn = svg(Chart("fps", "", [0.5, 1.0], {"fps": [25.0, 25.0]}))
    (points,) = re.findall(r'class="curve"[^>]*points="([^"]+)"', drawn)
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert all(0 < height < 250 for height in heights)
