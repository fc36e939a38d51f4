"""A benchmark's JSON and tables, from recorded turns whose truth is known."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from services.callbench.bench import BenchPlan, BenchResult, PortraitCall
from services.callbench.hesitations import Hesitation
from services.callbench.machine import Machine
from services.callbench.measure import CallFigures, measure
from services.callbench.parallel import (
    ParallelFigures,
    SideFigures,
    parallel_table,
    sent_fps,
)
from services.callbench.recording import CallRecording, Spoken
from services.callbench.report import portrait_table, report, table
from services.callbench.transport import NTP_TO_UNIX_S
from services.callbench.waveform import Span
from tests.unit.services.callbench.scene import call

pytestmark = pytest.mark.unit

FRANCE, ITALY = Spoken("france", 2.0, 3.0), Spoken("italy", 7.0, 7.5)
ANSWERS = [Span(3.4, 5.0), Span(8.1, 11.0)]
MACHINE = Machine("a processor", 2, 16.0, "Linux", "3.11", "abc", 0, "2026-01-01", 0.1)
PLAN = BenchPlan(url="", avatars=("mara",))


def statistics(late_ms: tuple[float, ...]) -> tuple[dict[str, Any], ...]:
    """What the browser says of sound and picture every quarter of a second."""
    found: list[dict[str, Any]] = []
    for index, at in enumerate(np.arange(0.0, 12_000, 250) + 1):
        for kind, age_ms in (("audio", 100.0), ("video", 100 + late_ms[index % len(late_ms)])):
            counted = dict.fromkeys(
                ("concealedSamples", "silentConcealedSamples", "packetsLost", "framesDecoded"), 0
            )
            found.append(
                {
                    **counted,
                    "kind": kind,
                    "at": at,
                    "estimatedPlayoutTimestamp": at + NTP_TO_UNIX_S * 1e3 - age_ms,
                    "packetsReceived": at / 20,
                    "freezeCount": 0,
                    "framesDropped": 0,
                    "totalFreezesDuration": 0,
                    "totalSamplesReceived": 1000,
                }
            )
    return tuple(found)


def a_trace(face_ms: float | None = 700.0, **changes: Any) -> dict[str, Any]:
    """A turn as the gateway gives it."""
    stage = {"name": "decode", "label": "First chunk drawn", "start_ms": 100.0, "end_ms": 120.0}
    trace = {"stages": [stage], "voice_to_voice_ms": None, "voice_to_face_ms": face_ms}
    return {**trace, "typed": False, "barge_in": None, **changes}


@cache
def a_recording() -> CallRecording:
    """Two questions, answered after 0.4 and 0.6 s."""
    transport = statistics((-60.0, 20.0, 20.0, 20.0))
    return replace(call(ANSWERS, spoken=(FRANCE, ITALY)), transport=transport)


@cache
def measured() -> CallFigures:
    return measure(a_recording())


def a_result(**changes: Any) -> BenchResult:
    """What a benchmark of that call has."""
    result = BenchResult(
        first_frames_ms=[900.0, 1600.0],
        figures=measured(),
        recording=a_recording(),
        captions=[],
        brain="parrot",
        traces=[a_trace()],
        hesitations=[Hesitation("autumn", 0.4, False), Hesitation("ocean", 0.7, True)],
        portraits={},
        parallel=[],
    )
    return replace(result, **changes)


def printed(shown: Table) -> list[str]:
    console = Console(width=160)
    with console.capture() as text:
        console.print(shown)
    return text.get().splitlines()


def verdicts(whole: dict[str, Any]) -> dict[str, str]:
    return {row["goal"]: row["verdict"] for row in whole["goals"]}


def test_recorded_turns_become_figures_and_every_goal_a_verdict() -> None:
    whole = report(MACHINE, PLAN, a_result())
    figures = whole["summary"]
    assert figures["voice_to_voice_ms_p50"] == pytest.approx(500, abs=60)
    assert figures["voice_to_face_ms_p95"] == pytest.approx(590, abs=100)
    assert figures["first_frame_ms_max"] == 1600
    assert figures["false_end_percent"] == 50
    # A quarter of the readings have the sound late by 60 ms: the median does not show them.
    assert figures["av_offset_ms"] == pytest.approx(20)
    assert figures["av_offset_abs_p95_ms"] == pytest.approx(60)
    told = verdicts(whole)
    assert told["frames a second, whole call"] == "met"
    assert told["picture against sound either way, p95"] == "missed"
    assert told["pauses taken for the end of a turn"] == "missed"
    assert told["room to first frame, warm, slowest"] == "missed"
    assert told["barge-in to silence, p95"] == "not measured"
    assert whole["plan"]["url"] == "own stack"
    json.dumps(whole, allow_nan=False)


def test_a_short_call_without_a_freeze_says_nothing_about_ten_minutes() -> None:
    goal = "freezes in 10 minutes"
    assert verdicts(report(MACHINE, PLAN, a_result()))[goal] == "not measured"
    frozen = replace(measured(), transport=replace(measured().transport, freezes=1))
    assert verdicts(report(MACHINE, PLAN, a_result(figures=frozen)))[goal] == "missed"
    long = replace(measured(), transport=replace(measured().transport, seconds=601))
    assert verdicts(report(MACHINE, PLAN, a_result(figures=long)))[goal] == "met"


def test_silence_after_detection_is_taken_from_the_agents_own_stamps() -> None:
    cut = {"detected_ms": 100.0, "noticed_ms": 260.0, "silence_ms": 180.0, "still_ms": None}
    old = {"noticed_ms": 260.0, "silence_ms": 900.0, "still_ms": None}
    traces = [a_trace(), a_trace(barge_in=cut), a_trace(barge_in=old)]
    whole = report(MACHINE, PLAN, a_result(traces=traces))
    assert whole["summary"]["barge_in_after_detection_ms_p95"] == 80
    assert verdicts(whole)["detection to silence, p95"] == "met"
    assert whole["traced_barge_ins"] == [cut, old]


def test_every_portrait_has_its_way_to_the_face_and_its_stages() -> None:
    calls = {
        "mara": PortraitCall(measured(), [a_trace()]),
        "theo": PortraitCall(measured(), [a_trace(900.0), a_trace(1100.0)]),
    }
    whole = report(MACHINE, PLAN, a_result(portraits=calls))
    theo = whole["portraits"]["theo"]
    assert theo["voice_to_face_ms_p50"] == whole["summary"]["voice_to_face_ms_p50"]
    assert theo["voice_to_face_ms_p95"] == whole["summary"]["voice_to_face_ms_p95"]
    assert theo["av_offset_abs_p95_ms"] == pytest.approx(60)
    stages = {stage["name"]: stage for stage in theo["stages"]}
    assert (stages["decode"]["turns"], stages["voice_to_face"]["p50_ms"]) == (2, 1000)
    shown = printed(portrait_table(calls))
    assert "First chunk drawn: 20 ms" in next(line for line in shown if "theo" in line)


def a_side(fps: float | None, sent_fps: float | None, *voices_ms: float) -> SideFigures:
    return SideFigures(
        browser=fps is not None,
        voice_to_voice_ms=list(voices_ms),
        voice_to_face_ms=[],
        unanswered=0 if voices_ms else 1,
        fps=fps,
        freezes=None if fps is None else 1,
        av_offset_ms=None,
        sent_fps=sent_fps,
    )


def test_the_slowest_of_several_calls_is_any_of_them_browser_or_not() -> None:
    four = ParallelFigures(4, [a_side(22.5, 25.0, 900.0), *3 * [a_side(None, 19.0, 1100.0)]], [])
    told = report(MACHINE, PLAN, a_result(parallel=[four]))
    assert told["summary"]["fps_of_4_calls"] == 19
    assert verdicts(told)["frames a second of 4 calls, slowest"] == "missed"
    assert verdicts(told)["frames a second of 2 calls, slowest"] == "not measured"
    (row,) = (line for line in printed(parallel_table([four])) if "1100" in line)
    assert "19.0" in row


def test_calls_of_which_one_was_not_measured_meet_no_goal() -> None:
    unseen = ParallelFigures(4, [a_side(22.5, 25.0, 900.0), a_side(None, None)], [])
    told = report(MACHINE, PLAN, a_result(parallel=[unseen]))
    assert told["summary"]["fps_of_4_calls"] is None
    assert verdicts(told)["frames a second of 4 calls, slowest"] == "not measured"
    (row,) = (line for line in printed(parallel_table([unseen])) if "900" in line)
    assert "22.5" not in row


def test_what_left_an_agent_is_told_by_the_last_trace_that_knows() -> None:
    turns = [a_trace(sent_fps=24.0), a_trace(sent_fps=23.5), a_trace(sent_fps=None)]
    assert sent_fps(turns) == 23.5
    assert sent_fps([a_trace(sent_fps=None)]) is None


def test_the_table_shows_goals_beside_what_was_measured() -> None:
    lines = {line.split("│")[1].strip(): line for line in printed(table(a_result())) if "│" in line}
    assert "1600.0 ms" in lines["room to first frame, warm, slowest"]
    assert "missed" in lines["room to first frame, warm, slowest"]
    assert "not measured" in lines["barge-in to silence, p95"]
