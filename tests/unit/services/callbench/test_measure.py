"""Figures of synthetic calls, whose truth is known."""

import pytest

from services.callbench.measure import measure, observe_mouth, silent_spans
from services.callbench.mouth import lips_lag_ms
from services.callbench.recording import Mark, Spoken
from services.callbench.transport import NTP_TO_UNIX_S, av_offsets_ms, frame_rate
from services.callbench.turns import answer_spans, barge_in_figures, turn_figures
from services.callbench.waveform import Span, voiced_spans
from tests.unit.services.callbench.scene import call

pytestmark = pytest.mark.unit

QUESTION = Spoken("france", 3.0, 4.0)
ANSWER = Span(5.2, 8.2)


def test_the_answer_is_timed_from_the_end_of_the_callers_voice() -> None:
    recorded = call([ANSWER], spoken=(QUESTION,))
    figures = turn_figures(recorded, observe_mouth(recorded), QUESTION)
    assert figures.voice_to_voice_ms == pytest.approx(1200, abs=60)
    assert figures.voice_to_face_ms == pytest.approx(1200, abs=100)
    assert figures.answer_s == pytest.approx(3.0, abs=0.1)


def test_no_answer_is_not_a_fast_answer() -> None:
    recorded = call([], spoken=(QUESTION,))
    figures = turn_figures(recorded, observe_mouth(recorded), QUESTION)
    assert figures.voice_to_voice_ms is None
    assert figures.voice_to_face_ms is None


def test_a_voice_without_moving_lips_has_no_face_time() -> None:
    recorded = call([ANSWER], lips_speech=[], spoken=(QUESTION,))
    figures = turn_figures(recorded, observe_mouth(recorded), QUESTION)
    assert figures.voice_to_voice_ms is not None
    assert figures.voice_to_face_ms is None
    assert figures.lips_moving_percent < 5


def test_lips_that_move_before_the_answer_do_not_make_it_faster() -> None:
    nod = Span(4.2, 4.6)
    recorded = call([ANSWER], lips_speech=[nod, ANSWER], spoken=(QUESTION,))
    figures = turn_figures(recorded, observe_mouth(recorded), QUESTION)
    assert figures.voice_to_face_ms == pytest.approx(1200, abs=100)


def test_an_answer_ends_where_the_caller_speaks_again() -> None:
    again = Spoken("italy", 7.0, 8.0)
    recorded = call([ANSWER], spoken=(QUESTION, again))
    spans = answer_spans(recorded, QUESTION)
    assert spans[-1].end_s == pytest.approx(7.0)


def test_a_swaying_head_is_not_a_moving_mouth() -> None:
    recorded = call([ANSWER], spoken=(QUESTION,))
    mouth = observe_mouth(recorded)
    assert mouth.share_moving([ANSWER]) > 0.8
    assert mouth.share_moving(silent_spans(recorded)) == 0
    assert mouth.typical([ANSWER]) > 5 * mouth.typical(silent_spans(recorded))


@pytest.mark.parametrize("late_s", [-0.2, -0.08, 0.0, 0.12, 0.24])
def test_lips_lag_is_the_delay_of_the_picture(late_s: float) -> None:
    speech = [Span(3.0, 6.0), Span(7.0, 9.0)]
    recorded = call(speech, picture_late_s=late_s)
    lag_ms, correlation = lips_lag_ms(
        observe_mouth(recorded), recorded.sound, voiced_spans(recorded.sound)
    )
    assert lag_ms == pytest.approx(1e3 * late_s, abs=25)
    assert correlation > 0.4


def test_a_mouth_that_ignores_the_sound_gives_no_credible_lag() -> None:
    recorded = call([Span(3.0, 6.0)], lips_speech=[])
    assert measure(recorded).lips_lag_ms is None


def test_a_barge_in_is_timed_to_the_last_sound_and_the_last_motion() -> None:
    barge_in = Spoken("japan", 6.0, 7.5)
    recorded = call([Span(5.0, 6.4)], lips_speech=[Span(5.0, 6.6)], spoken=(QUESTION, barge_in))
    marks = (Mark("state", 5.0, "speaking"), Mark("state", 6.3, "listening"))
    recorded = type(recorded)(recorded.sound, recorded.frames, (), marks, recorded.spoken)
    figures = barge_in_figures(recorded, observe_mouth(recorded), barge_in)
    assert figures.to_silence_ms == pytest.approx(400, abs=60)
    assert figures.to_still_ms == pytest.approx(600, abs=100)
    assert figures.noticed_ms == pytest.approx(300)


def readings(age_ms: float, packets: int = 12) -> list[dict[str, float]]:
    """Four a second for ten seconds; so many packets came between two of them."""
    return [
        {
            "at": 250.0 * n + 1,
            "estimatedPlayoutTimestamp": 250.0 * n + 1 + NTP_TO_UNIX_S * 1e3 - age_ms,
            "packetsReceived": packets * n,
        }
        for n in range(40)
    ]


def test_the_picture_is_late_when_it_plays_older_material_than_the_sound() -> None:
    offsets = av_offsets_ms(readings(120), readings(180))
    assert offsets == pytest.approx([60] * len(offsets), abs=0.01)
    assert len(offsets) > 20


def test_nothing_is_in_step_with_silence() -> None:
    speech, silence, picture = readings(120)[:20], readings(0, packets=1)[20:], readings(180)
    offsets = av_offsets_ms(speech + silence, picture)
    assert offsets == pytest.approx([60] * len(offsets), abs=0.01)
    assert 10 < len(offsets) < 15, "of the speech after the first two seconds"
    assert av_offsets_ms(readings(120, packets=1), picture) == []


def test_frames_that_nobody_saw_still_count_as_presented() -> None:
    recorded = call([])
    frames = recorded.frames
    every_other = type(frames)(
        frames.at_s[::2],
        frames.presented[::2],
        frames.width,
        frames.height,
        frames.crops[::2],
        frames.thumbs[::2],
    )
    assert frame_rate(every_other, Span(0, 12)) == pytest.approx(25, abs=0.1)
