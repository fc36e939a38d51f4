"""The goals that a benchmark of calls is held to."""

from typing import Any

from reporting import goals
from reporting.goals import Figures, Goal

GOALS = (
    Goal("voice_to_face_ms_p50", "voice end to lips moving, p50", "ms", "<= 500", high=500),
    Goal("voice_to_face_ms_p95", "voice end to lips moving, p95", "ms", "<= 800", high=800),
    Goal("false_end_percent", "pauses taken for the end of a turn", "%", "<= 5", high=5),
    Goal("barge_in_after_detection_ms_p95", "detection to silence, p95", "ms", "<= 150", high=150),
    Goal("barge_in_to_silence_ms_p95", "barge-in to silence, p95", "ms", "<= 400", high=400),
    Goal("fps", "frames a second, whole call", "", "25.0", low=24.95),
    Goal("freezes_in_10_minutes", "freezes in 10 minutes", "", "0", high=0),
    Goal("av_offset_abs_p95_ms", "picture against sound either way, p95", "ms", "<= 45", high=45),
    Goal("fps_of_2_calls", "frames a second of 2 calls, slowest", "", ">= 24", low=24),
    Goal("fps_of_4_calls", "frames a second of 4 calls, slowest", "", ">= 20", low=20),
    Goal("first_frame_ms_max", "room to first frame, warm, slowest", "ms", "<= 1500", high=1500),
    Goal("unanswered", "questions without an answer", "", "0", high=0),
)


def verdicts(figures: Figures) -> list[dict[str, Any]]:
    """Every goal with its figure and its verdict, ready for JSON."""
    return goals.verdicts(GOALS, figures)
