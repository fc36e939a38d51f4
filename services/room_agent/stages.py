"""The stages of a turn, from the caller's last sound to the caller's screen, in the order of time.

One table for the waterfall, the metrics and the benchmark. A point is a moment that something
notes; a stage is the time from the latest of its `starts` to its `end`. Stages overlap where work
is done ahead: the answer is prepared while the end of the turn is still being decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

VOICE_END: Final = "voice_end"
FACE_RENDERED: Final = "face_rendered"
VOICE_RENDERED: Final = "voice_rendered"


@dataclass(frozen=True)
class Stage:
    """`name` labels metrics; `label` is for people; `process` does the work."""

    name: str
    label: str
    process: str
    starts: tuple[str, ...]
    end: str


@dataclass(frozen=True)
class Span:
    """A stage of one turn, milliseconds after the caller's last sound."""

    stage: Stage
    start_ms: float
    end_ms: float


STAGES: Final = (
    Stage("uplink", "Sound on its way to the agent", "network", (VOICE_END,), "voice_received"),
    Stage("pause", "Silence noticed", "agent", ("voice_received",), "pause_noticed"),
    Stage("decision", "End of turn decided", "agent", ("pause_noticed",), "turn_decided"),
    Stage(
        "transcript",
        "Words recognised",
        "thinker",
        ("user_speech_end", "voice_received"),
        "transcript_final",
    ),
    Stage(
        "first_token", "First token of the answer", "thinker", ("transcript_final",), "first_token"
    ),
    Stage("first_clause", "First clause written", "thinker", ("first_token",), "first_clause"),
    Stage(
        "speech",
        "First speech made",
        "thinker",
        ("first_token", "first_clause"),
        "speech_ready",
    ),
    Stage(
        "release",
        "Speech released to the Actor",
        "thinker",
        ("speech_ready", "turn_decided"),
        "thinker_sent",
    ),
    Stage("handover", "Speech handed over", "actor", ("thinker_sent",), "actor_received"),
    Stage(
        "speech_decode",
        "Audio tokens made sound",
        "actor",
        ("actor_received",),
        "actor_speech_decoded",
    ),
    Stage(
        "window",
        "Waiting for a place in the window",
        "actor",
        ("actor_received", "actor_speech_decoded"),
        "actor_entered",
    ),
    Stage("denoise", "First chunk made clean", "actor", ("actor_entered",), "actor_clean"),
    Stage("decode", "First chunk drawn", "actor", ("actor_clean",), "actor_decoded"),
    Stage("delivery", "First chunk delivered", "agent", ("actor_decoded",), "chunk_received"),
    Stage("playout", "Waiting to be played", "agent", ("chunk_received",), "frame_captured"),
    Stage(
        "voice_downlink",
        "Sound on its way to the caller",
        "browser",
        ("frame_captured",),
        VOICE_RENDERED,
    ),
    Stage(
        "face_downlink",
        "Picture on its way to the screen",
        "browser",
        ("frame_captured",),
        FACE_RENDERED,
    ),
)
POINTS: Final = (VOICE_END, "user_speech_end", *(stage.end for stage in STAGES))
"""Every point that a turn may have."""


def spans(points: Mapping[str, float]) -> list[Span]:
    """The stages whose moments are known. Work done ahead of its start takes no time."""
    found = []
    for stage in STAGES:
        starts = [points[name] for name in stage.starts if name in points]
        if starts and stage.end in points:
            end_ms = points[stage.end]
            found.append(Span(stage, min(max(starts), end_ms), end_ms))
    return found
