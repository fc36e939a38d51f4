"""A benchmark as one JSON object and as a table for people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from services.callbench.bench import BenchPlan, BenchResult, PortraitCall
from services.callbench.goals import GOALS, verdicts
from services.callbench.hesitations import false_end_percent
from services.callbench.machine import Machine
from services.callbench.parallel import slowest_fps
from services.callbench.stages import after_detection_ms, stage_figures, traced_barge_ins
from services.callbench.transport import TransportFigures

FREEZE_SECONDS = 600
"""The goal is about so long a call: in a shorter one no freeze says nothing."""
WITHOUT_GOAL = {
    "voice_to_voice_ms_p50": "voice end to voice start, p50 (ms)",
    "fps_speaking": "frames a second while speaking",
    "freezes_per_minute": "freezes a minute",
    "concealed_percent": "concealed sound (%)",
    "av_offset_ms": "picture late against sound (ms)",
    "lips_lag_ms": "the same from lips and sound (ms)",
    "barge_in_to_still_ms_p95": "barge-in to still lips, p95 (ms)",
}
"""Figures that people want to see, too."""


def summary(result: BenchResult) -> dict[str, float | int | None]:
    """Return the figures that the goals are about."""
    figures = result.figures
    turns, barge_ins = figures.turns, figures.barge_ins
    return {
        "first_frame_ms_p50": percentile(result.first_frames_ms, 50),
        "first_frame_ms_max": percentile(result.first_frames_ms, 100),
        "voice_to_voice_ms_p50": percentile([t.voice_to_voice_ms for t in turns], 50),
        "voice_to_voice_ms_p95": percentile([t.voice_to_voice_ms for t in turns], 95),
        "voice_to_face_ms_p50": percentile([t.voice_to_face_ms for t in turns], 50),
        "voice_to_face_ms_p95": percentile([t.voice_to_face_ms for t in turns], 95),
        "fps": figures.transport.fps,
        "fps_speaking": percentile([t.fps_speaking for t in turns if t.answer_s > 1], 50),
        "freezes_per_minute": figures.transport.freezes_per_minute,
        "freezes_in_10_minutes": _freezes(figures.transport),
        "concealed_percent": figures.transport.concealed_percent,
        "av_offset_ms": figures.transport.av_offset_ms,
        "av_offset_abs_p95_ms": figures.transport.av_offset_abs_p95_ms,
        "lips_lag_ms": figures.lips_lag_ms,
        "barge_in_to_silence_ms_p95": percentile([b.to_silence_ms for b in barge_ins], 95),
        "barge_in_to_still_ms_p95": percentile([b.to_still_ms for b in barge_ins], 95),
        "barge_in_after_detection_ms_p95": percentile(
            [after_detection_ms(cut) for cut in traced_barge_ins(result.traces)], 95
        ),
        "barge_in_noticed_ms_p95": percentile([b.noticed_ms for b in barge_ins], 95),
        "false_end_percent": false_end_percent(result.hesitations),
        "unanswered": len(result.unanswered),
        **{f"fps_of_{run.calls}_calls": slowest_fps(run) for run in result.parallel},
    }


def _freezes(transport: TransportFigures) -> int | None:
    long_enough = transport.seconds >= FREEZE_SECONDS
    return transport.freezes if transport.freezes or long_enough else None


def percentile(values: Sequence[float | None], percent: float) -> float | None:
    """Return the percentile of what could be measured, or None when nothing could."""
    measured = [value for value in values if value is not None]
    return float(np.percentile(measured, percent)) if measured else None


def report(machine: Machine, plan: BenchPlan, result: BenchResult) -> dict[str, Any]:
    """Return everything, ready for JSON."""
    figures = summary(result)
    whole = {
        "machine": asdict(machine),
        "plan": asdict(plan) | {"url": "own stack" if not plan.url else plan.url},
        "brain": result.brain,
        "goals": verdicts(figures),
        "summary": figures,
        "stages": [asdict(stage) for stage in stage_figures(result.traces)],
        "traced_barge_ins": traced_barge_ins(result.traces),
        "hesitations": [asdict(item) for item in result.hesitations],
        "portraits": {name: portrait(made) for name, made in result.portraits.items()},
        "parallel": [asdict(run) for run in result.parallel],
        "first_frames_ms": result.first_frames_ms,
        "call": asdict(result.figures),
        "captions": result.captions,
        "unanswered": result.unanswered,
    }
    rounded: dict[str, Any] = _rounded(whole)
    return rounded


def portrait(call: PortraitCall) -> dict[str, Any]:
    """What may differ from face to face."""
    figures = call.figures
    voices = [turn.voice_to_voice_ms for turn in figures.turns]
    faces = [turn.voice_to_face_ms for turn in figures.turns]
    return {
        "turns": len(figures.turns),
        "first_frame_ms": figures.first_frame_ms,
        "voice_to_voice_ms_p50": percentile(voices, 50),
        "voice_to_voice_ms_p95": percentile(voices, 95),
        "voice_to_face_ms_p50": percentile(faces, 50),
        "voice_to_face_ms_p95": percentile(faces, 95),
        "fps": figures.transport.fps,
        "freezes": figures.transport.freezes,
        "av_offset_ms": figures.transport.av_offset_ms,
        "av_offset_abs_p95_ms": figures.transport.av_offset_abs_p95_ms,
        "lip_motion_speaking": figures.lip_motion_speaking,
        "lip_motion_silent": figures.lip_motion_silent,
        "stages": [asdict(stage) for stage in stage_figures(call.traces)],
    }


def portrait_table(portraits: Mapping[str, PortraitCall]) -> Table:
    """Each face in a row."""
    shown = Table("face", "voice to face p50", "p95", "fps", "A/V p95", "slowest stage, p50")
    shown.title = "Each portrait"
    for name, call in portraits.items():
        found = portrait(call)
        ways = ("voice_to_voice", "voice_to_face")
        stages = [stage for stage in found["stages"] if stage["name"] not in ways]
        slowest = max(stages, key=lambda stage: stage["p50_ms"], default=None)
        shown.add_row(
            name,
            _shown(found["voice_to_face_ms_p50"], "ms"),
            _shown(found["voice_to_face_ms_p95"], "ms"),
            _shown(found["fps"]),
            _shown(found["av_offset_abs_p95_ms"], "ms"),
            f"{slowest['label']}: {slowest['p50_ms']:.0f} ms" if slowest else "-",
        )
    return shown


def table(result: BenchResult) -> Table:
    """Return the summary for people, each figure beside its goal."""
    shown = Table("figure", "measured", "goal", "", title="A real call in headless Chromium")
    values = summary(result)
    for goal in GOALS:
        measured = _shown(values.get(goal.key), goal.unit)
        shown.add_row(goal.label, measured, goal.wanted, goal.verdict(values))
    for key, label in WITHOUT_GOAL.items():
        shown.add_row(label, _shown(values[key]), "", "")
    return shown


def _shown(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.1f} {unit}".strip()


def _rounded(value: Any) -> Any:
    """Return the same with floats rounded to a tenth, NaN (no JSON) as None."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 3) if math.isfinite(value) else None
    return value
