"""Two benchmarks side by side."""

import json
from pathlib import Path
from typing import Any

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
        ("av_offset_abs_p95_ms", 60, 40, "better"),
        ("av_offset_p5_ms", -60, 10, "better"),
        ("fps_of_4_calls", 18, 22, "better"),
        ("4 calls.sent_fps", 22, 18, "worse"),
        ("mara.fps", 20.0, 25.0, "better"),
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


def a_side(voice_ms: float, fps: float | None, **changes: Any) -> dict[str, Any]:
    side = {
        "browser": fps is not None,
        "voice_to_voice_ms": [voice_ms],
        "voice_to_face_ms": [],
        "unanswered": 1,
        "fps": fps,
        "freezes": None,
        "av_offset_ms": None,
    }
    return {**side, **changes}


def test_calls_at_once_and_each_portrait_are_compared_too() -> None:
    stage = {"name": "decode", "label": "", "turns": 3, "p50_ms": 9.0, "p95_ms": 12.0}
    sides = [
        a_side(1000, 22.5, av_offset_ms=-30.0, freezes=2),
        a_side(3000, None, sent_fps=21.0),
        a_side(2000, None, sent_fps=24.0),
    ]
    report = {
        "summary": {"av_offset_abs_p95_ms": 41.0},
        "call": {"transport": {"av_offset_p5_ms": -20.0, "av_offset_p95_ms": 40.0}},
        "portraits": {"mara": {"voice_to_face_ms_p95": 900.0, "fps": None, "stages": [stage]}},
        "parallel": [{"calls": 3, "sides": sides, "stages": [stage]}],
    }
    assert flat_figures(report) == {
        "av_offset_abs_p95_ms": 41,
        "av_offset_p5_ms": -20,
        "av_offset_p95_ms": 40,
        "mara.voice_to_face_ms_p95": 900,
        "mara.decode.p50": 9,
        "mara.decode.p95": 12,
        "3 calls.voice_to_voice_ms_p50": 2000,
        "3 calls.voice_to_voice_ms_p95": 2900,
        "3 calls.fps": 22.5,
        "3 calls.sent_fps": 21,
        "3 calls.av_offset_ms": -30,
        "3 calls.freezes": 2,
        "3 calls.unanswered": 3,
        "3 calls.decode.p50": 9,
        "3 calls.decode.p95": 12,
    }


def test_the_committed_calls_at_once_can_be_compared_with() -> None:
    baseline = read_baseline(REPOSITORY / "docs" / "benchmarks" / "call-parallel.json")
    figures = flat_figures(baseline)
    assert figures["2 calls.fps"] == 23.403
    assert "4 calls.sent_fps" not in figures


def test_the_committed_benchmark_is_a_baseline() -> None:
    baseline = read_baseline(REPOSITORY / "docs" / "benchmarks" / "call.json")
    assert flat_figures(baseline)["voice_to_voice_ms_p50"] > 0


@pytest.mark.parametrize("content", ["", "[1]", json.dumps({"summary": 3}), "{}"])
def test_what_is_no_benchmark_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(BaselineUnusable, match=r"other\.json"):
        read_baseline(file)
