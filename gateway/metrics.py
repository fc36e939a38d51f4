"""Prometheus metrics of the gateway, and of the calls whose agents report to it.

An agent's job lives in a process of its own that ends with its call. It keeps no registry: what it
measures travels with its reports and is counted here, once, so nothing has to be merged.
"""

from collections.abc import Sequence
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from proto.portrait_code import PortraitCode
from services.room_agent.records import BargeIn, CallQuality, CallReport, TurnRecord
from services.room_agent.stages import STAGES, spans

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10)
_OFFSETS = (-0.5, -0.2, -0.12, -0.08, -0.045, -0.02, 0, 0.02, 0.045, 0.08, 0.12, 0.2, 0.5)
KNOWN_FAILURES = frozenset(
    {
        "actor_failed",
        "asset_missing",
        "bad_message",
        "brain_unavailable",
        "busy",
        "eyes_unavailable",
        "generation_failed",
        "language_unsupported",
        "picture_refused",
        "portrait_desk_busy",
        "question_shortened",
        "reply_failed",
        "session_exists",
        "session_unknown",
        "speech_refused",
        "thinker_failed",
        "too_many_sessions",
        "unknown_voice",
        "weights_unusable",
        *get_args(PortraitCode),
    }
) - {"ok"}
"""Codes of the engines, and why a portrait is refused; a code that is not among them counts as
`other`: labels stay bounded."""

REQUESTS = Counter(
    "xstreamer_gateway_requests", "HTTP requests answered", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "xstreamer_gateway_request_seconds", "Time to answer an HTTP request", ["route"]
)
PORTRAITS = Counter("xstreamer_gateway_portraits", "Portraits checked, by verdict", ["code"])
PORTRAIT_SECONDS = Histogram("xstreamer_gateway_portrait_seconds", "Time of a portrait check")
ROOMS = Counter("xstreamer_gateway_rooms", "Rooms created")
LIVE_CALLS = Gauge("xstreamer_gateway_live_calls", "Calls that have not ended")
CAPACITY = Gauge("xstreamer_gateway_capacity", "Calls that fit, as last measured")
QUEUE_LENGTH = Gauge("xstreamer_gateway_queue_length", "People who wait for a place")
REFUSED = Counter("xstreamer_gateway_refused", "People who found no place at once")
AGENT_JOIN_SECONDS = Histogram(
    "xstreamer_gateway_agent_join_seconds",
    "Time from room creation until its agent joined",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16, 32),
)
REDISPATCHES = Counter("xstreamer_gateway_redispatches", "Agents asked for again by the watchdog")
SIGNAL_CONNECTIONS = Gauge(
    "xstreamer_gateway_signal_connections", "LiveKit signalling connections proxied now"
)

TURNS = Counter("xstreamer_turns", "Turns by how their answer ended", ["outcome"])
STAGE_SECONDS = Histogram(
    "xstreamer_turn_stage_seconds", "Time of each stage of a turn", ["stage"], buckets=_SECONDS
)
VOICE_TO_VOICE = Histogram(
    "xstreamer_voice_to_voice_seconds",
    "From the caller's last sound to the answer's first sound at the caller",
    buckets=_SECONDS,
)
VOICE_TO_FACE = Histogram(
    "xstreamer_voice_to_face_seconds",
    "From the caller's last sound to the answer's first frame on the caller's screen",
    buckets=_SECONDS,
)
CLOCK_ERROR = Histogram(
    "xstreamer_clock_error_seconds",
    "How far the browser's moments of a turn may be off",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
)
LATE_SPEECH = Histogram(
    "xstreamer_late_speech_seconds", "Silence inside an answer", buckets=(0, *_SECONDS)
)
BARGE_IN = Histogram(
    "xstreamer_barge_in_seconds",
    "From the caller's first sound over an answer until detected, noticed, silent, still",
    ["until"],
    buckets=_SECONDS,
)
AFTER_DETECTION = Histogram(
    "xstreamer_barge_in_after_detection_seconds",
    "From the detection of a voice over an answer until the caller had silence, stillness",
    ["until"],
    buckets=_SECONDS,
)
AV_OFFSET = Histogram(
    "xstreamer_av_offset_seconds",
    "How late the picture is against the sound at the caller",
    buckets=_OFFSETS,
)
FPS = Histogram(
    "xstreamer_call_fps",
    "Frames a second at the caller, over a few seconds each",
    buckets=(5, 10, 15, 18, 20, 22, 23, 24, 24.5, 25.5, 30),
)
FREEZES = Counter("xstreamer_freezes", "Times that the picture stood still at a caller")
FROZEN_SECONDS = Counter("xstreamer_frozen_seconds", "How long pictures stood still at callers")
WATCHED_SECONDS = Counter("xstreamer_watched_seconds", "How long callers' pages watched")
CONCEALED = Histogram(
    "xstreamer_concealed_percent",
    "Sound that the browser made up, over a few seconds each",
    buckets=(0, 0.1, 0.5, 1, 2, 5, 10, 50),
)
CALL_FAILURES = Counter("xstreamer_call_failures", "Failures that calls were told of", ["code"])
# A series that begins with its first event has no rate until the second.
for _code in (*sorted(KNOWN_FAILURES), "other"):
    CALL_FAILURES.labels(_code)
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage.name)
for _until in ("detected", "noticed", "silence", "still"):
    BARGE_IN.labels(_until)
for _until in ("silence", "still"):
    AFTER_DETECTION.labels(_until)
for _outcome in ("completed", "interrupted", "empty", "failed"):
    TURNS.labels(_outcome)


def count_report(report: CallReport, fresh: Sequence[TurnRecord]) -> None:
    """Count a report; `fresh` are its turns that were not counted before."""
    for record in fresh:
        _count_turn(record)
    for quality in report.quality:
        _count_quality(quality)
    for code, times in report.failures.items():
        CALL_FAILURES.labels(code if code in KNOWN_FAILURES else "other").inc(times)


def _count_turn(record: TurnRecord) -> None:
    TURNS.labels(record.outcome).inc()
    if not record.typed:
        _count_way(record)
    LATE_SPEECH.observe(record.late_ms / 1000)
    _observe(CLOCK_ERROR, record.clock_error_ms)
    if (barge_in := record.barge_in) is not None:
        _count_barge_in(barge_in)


def _count_way(record: TurnRecord) -> None:
    """Only of turns that were spoken: what is typed is not heard, decided or recognised."""
    for span in spans(record.points):
        STAGE_SECONDS.labels(span.stage.name).observe((span.end_ms - span.start_ms) / 1000)
    _observe(VOICE_TO_VOICE, record.voice_to_voice_ms)
    _observe(VOICE_TO_FACE, record.voice_to_face_ms)


def _count_barge_in(cut: BargeIn) -> None:
    _observe(BARGE_IN.labels("detected"), cut.detected_ms)
    _observe(BARGE_IN.labels("noticed"), cut.noticed_ms)
    for until, moment_ms in (("silence", cut.silence_ms), ("still", cut.still_ms)):
        _observe(BARGE_IN.labels(until), moment_ms)
        _observe(AFTER_DETECTION.labels(until), cut.after_detection_ms(moment_ms))


def _observe(histogram: Histogram, milliseconds: float | None) -> None:
    if milliseconds is not None:
        histogram.observe(milliseconds / 1000)


def _count_quality(quality: CallQuality) -> None:
    FPS.observe(quality.fps)
    FREEZES.inc(quality.freezes)
    FROZEN_SECONDS.inc(quality.frozen_ms / 1000)
    WATCHED_SECONDS.inc(quality.seconds)
    CONCEALED.observe(quality.concealed_percent)
    if quality.av_offset_ms is not None:
        AV_OFFSET.observe(quality.av_offset_ms / 1000)
