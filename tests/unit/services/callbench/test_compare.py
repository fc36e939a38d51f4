"""Two benchmarks side by side."""

import json
from pathlib import Path

import pytest

from services.callbench.compare import (
    BaselineUnusable,
    Change,
    compare,
    flat_figures,
    read_baseline,
)
from services.paths import REPOSITORY

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("key", "before", "now", "verdict"),
    [
        ("voice_to_face_ms_p50", 1100, 700, "better"),
        ("voice_to_face_ms_p50", 700, 1100, "worse"),
        ("voice_to_face_ms_p50", 1000, 1030, "same"),
        ("fps", 20.0, 25.0, "better"),
        ("fps", 25.0, 20.0, "worse"),
        ("av_offset_ms", -60, 10, "better"),
        ("av_offset_ms", 10, -60, "worse"),
        ("unanswered", 0, 0, "same"),
        ("unanswered", 0, 1, "worse"),
    ],
)
def test_a_change_is_judged_by_what_is_good(
    key: str, before: float, now: float, verdict: str
) -> None:
    assert Change(key, before, now).verdict == verdict


def test_only_figures_that_both_have_are_compared_stages_included() -> None:
    stage = {"name": "decode", "label": "", "turns": 3, "p50_ms": 9.0, "p95_ms": 12.0}
    before = {"summary": {"fps": 24.0, "gone": 1, "lost": None}, "stages": [stage]}
    now = {"summary": {"fps": 25.0, "new": 2}, "stages": [{**stage, "p50_ms": 6.0}]}
    assert compare(before, now) == [
        Change("fps", 24.0, 25.0),
        Change("decode.p50", 9.0, 6.0),
        Change("decode.p95", 12.0, 12.0),
    ]


def test_the_committed_benchmark_is_a_baseline() -> None:
    baseline = read_baseline(REPOSITORY / "docs" / "benchmarks" / "call.json")
    assert flat_figures(baseline)["voice_to_voice_ms_p50"] > 0


@pytest.mark.parametrize("content", ["", "[1]", json.dumps({"summary": 3}), "{}"])
def test_what_is_no_benchmark_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(BaselineUnusable, match=r"other\.json"):
        read_baseline(file)
