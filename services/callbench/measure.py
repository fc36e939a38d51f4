"""All figures of one recorded call."""

from dataclasses import dataclass

from services.callbench.mouth import Mouth, lips_lag_ms, watch_mouth
from services.callbench.recording import CallRecording
from services.callbench.transport import TransportFigures, transport_figures
from services.callbench.turns import (
    BargeInFigures,
    TurnFigures,
    answer_spans,
    barge_in_figures,
    turn_figures,
)
from services.callbench.waveform import Span, voiced_spans

# A room's first frames may be key frames of poor quality; and lips close shortly after the voice.
SETTLE_S = 1.0
# What the correlation of lips and sound must reach before its lag means anything.
CREDIBLE_CORRELATION = 0.25


@dataclass(frozen=True)
class CallFigures:
    """A call in numbers. None: could not be measured.

    `lips_lag_ms` is measured from pixels and samples, `transport.av_offset_ms` comes from the
    browser's statistics; both are positive when the picture is late.
    """

    first_frame_ms: float | None
    frame_width: int
    frame_height: int
    turns: list[TurnFigures]
    barge_ins: list[BargeInFigures]
    transport: TransportFigures
    lips_lag_ms: float | None
    lips_correlation: float
    lip_motion_speaking: float
    lip_motion_silent: float


def measure(call: CallRecording, barged_in: frozenset[int] = frozenset()) -> CallFigures:
    """Measure a call. `barged_in`: which of the things said cut into an answer."""
    speaking = voiced_spans(call.sound)
    silent = silent_spans(call)
    mouth = observe_mouth(call)
    lag_ms, correlation = lips_lag_ms(mouth, call.sound, speaking)
    return CallFigures(
        first_frame_ms=_first_frame_ms(call),
        frame_width=call.frames.width,
        frame_height=call.frames.height,
        turns=[
            turn_figures(call, mouth, spoken)
            for at, spoken in enumerate(call.spoken)
            if at not in barged_in
        ],
        barge_ins=[barge_in_figures(call, mouth, call.spoken[at]) for at in sorted(barged_in)],
        transport=transport_figures(call),
        lips_lag_ms=lag_ms if correlation > CREDIBLE_CORRELATION else None,
        lips_correlation=correlation,
        lip_motion_speaking=mouth.typical(speaking),
        lip_motion_silent=mouth.typical(silent),
    )


def observe_mouth(call: CallRecording) -> Mouth:
    """Watch the mouth; its stillness is that before the agent's first word."""
    before = silent_spans(call)[:1]
    return watch_mouth(call.frames, before)


def silent_spans(call: CallRecording) -> list[Span]:
    """Return when the agent was shown and had not spoken for a while."""
    if not len(call.frames.at_s):
        return []
    quiet_from = float(call.frames.at_s[0]) + SETTLE_S
    spans = []
    for voice in voiced_spans(call.sound):
        spans.append(Span(quiet_from, voice.start_s - SETTLE_S))
        quiet_from = voice.end_s + SETTLE_S
    spans.append(Span(quiet_from, float(call.frames.at_s[-1])))
    return [span for span in spans if span.end_s - span.start_s > 0.2]


def answered(call: CallRecording, question_id: str) -> list[Span]:
    """Return when the agent spoke in answer to a question."""
    spoken = next(item for item in call.spoken if item.question_id == question_id)
    return answer_spans(call, spoken)


def _first_frame_ms(call: CallRecording) -> float | None:
    sent, shown = call.mark("room_create_sent"), call.mark("first_frame")
    return None if sent is None or shown is None else 1e3 * (shown.at_s - sent.at_s)
