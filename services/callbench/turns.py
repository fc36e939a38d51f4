"""What happened after each thing the caller said.

Times of the record are wall-clock seconds; figures are milliseconds.
"""

from dataclasses import dataclass

from services.callbench.mouth import Mouth
from services.callbench.recording import CallRecording, Spoken
from services.callbench.transport import frame_rate
from services.callbench.waveform import Span, voiced_spans

# Lips part up to this long before the voice is heard; what moves earlier is a nod or a breath and
# is not counted as an answer. They rarely begin later than this after it.
LIPS_BEFORE_S = 0.15
LIPS_AFTER_S = 1.0
# The agent counts as speaking over when no voice followed for this long.
SILENCE_S = 0.5


@dataclass(frozen=True)
class TurnFigures:
    """One question and its answer. None: did not happen."""

    question: str
    voice_to_voice_ms: float | None
    voice_to_face_ms: float | None
    answer_s: float
    fps_speaking: float
    lips_moving_percent: float


@dataclass(frozen=True)
class BargeInFigures:
    """The caller spoke into the answer: what followed its first sound, as recorded at the caller.

    `noticed_ms`: the page showed that the agent had left `speaking`, which is after the silence.
    What followed the agent's own detection is in the traces. None: the answer went on.
    """

    to_silence_ms: float | None
    to_still_ms: float | None
    noticed_ms: float | None


def turn_figures(call: CallRecording, mouth: Mouth, spoken: Spoken) -> TurnFigures:
    """Measure the answer to one question, up to what the caller said next."""
    answer = answer_spans(call, spoken)
    if not answer:
        return TurnFigures(spoken.question_id, None, None, 0.0, 0.0, 0.0)
    whole = Span(answer[0].start_s, answer[-1].end_s)
    lips = _lips_start(mouth, spoken, whole)
    return TurnFigures(
        question=spoken.question_id,
        voice_to_voice_ms=1e3 * (whole.start_s - spoken.voice_end_s),
        voice_to_face_ms=None if lips is None else 1e3 * (lips - spoken.voice_end_s),
        answer_s=whole.end_s - whole.start_s,
        fps_speaking=frame_rate(call.frames, whole),
        lips_moving_percent=100 * mouth.share_moving(answer),
    )


def answer_spans(call: CallRecording, spoken: Spoken) -> list[Span]:
    """Return when the agent's voice sounded between the end of a question and the next one."""
    later = [
        other.voice_start_s for other in call.spoken if other.voice_start_s > spoken.voice_end_s
    ]
    until_s = min(later, default=float("inf"))
    return [
        Span(max(span.start_s, spoken.voice_end_s), min(span.end_s, until_s))
        for span in voiced_spans(call.sound)
        if spoken.voice_end_s < span.end_s and span.start_s < until_s
    ]


def barge_in_figures(call: CallRecording, mouth: Mouth, spoken: Spoken) -> BargeInFigures:
    """Measure how soon the answer stopped that `spoken` cut into."""
    began_s = spoken.voice_start_s
    voices = voiced_spans(call.sound, gap_s=SILENCE_S)
    silent_s = _end_of_span_at(voices, began_s)
    still_s = _end_of_span_at(mouth.moving_spans(), began_s)
    states = [mark for mark in call.marks if mark.name == "state" and mark.at_s > began_s]
    noticed_s = next((mark.at_s for mark in states if mark.detail != "speaking"), None)
    return BargeInFigures(
        to_silence_ms=_since(began_s, silent_s),
        to_still_ms=_since(began_s, still_s),
        noticed_ms=_since(began_s, noticed_s),
    )


def _lips_start(mouth: Mouth, spoken: Spoken, answer: Span) -> float | None:
    for span in mouth.moving_spans():
        if span.end_s < answer.start_s - LIPS_BEFORE_S or span.end_s < spoken.voice_end_s:
            continue
        if span.start_s > answer.start_s + LIPS_AFTER_S:
            return None
        return max(span.start_s, spoken.voice_end_s, answer.start_s - LIPS_BEFORE_S)
    return None


def _end_of_span_at(spans: list[Span], at_s: float) -> float | None:
    """Return the end of the span that goes on at this moment."""
    return next((span.end_s for span in spans if span.start_s <= at_s <= span.end_s), None)


def _since(start_s: float, end_s: float | None) -> float | None:
    return None if end_s is None else 1e3 * (end_s - start_s)
