"""Questions with a pause inside, and whether the pause was taken for the end."""

import io

import pytest
import soundfile

from services.callbench.hesitations import Hesitation, false_end_percent, hesitation
from services.callbench.questions import MICROPHONE_HZ, clip
from services.callbench.recording import CallRecording, Mark, Spoken
from services.callbench.waveform import Waveform, voiced_spans
from tests.unit.services.callbench.scene import call

pytestmark = pytest.mark.unit

SPOKEN = Spoken("autumn", voice_start_s=2.0, voice_end_s=5.0)


def heard_with(*states: tuple[float, str]) -> CallRecording:
    silent = call([], seconds=1.0, spoken=(SPOKEN,))
    marks = tuple(Mark("state", at_s, state) for at_s, state in states)
    return CallRecording(silent.sound, silent.frames, (), marks, silent.spoken)


@pytest.mark.parametrize("question_id", ["breakfast", "autumn", "weekend", "music", "ocean"])
def test_the_pause_lies_inside_the_sentence_and_nothing_is_lost(question_id: str) -> None:
    fluent, hesitant = clip(question_id), clip(question_id, 0.7)
    assert hesitant.duration_s == pytest.approx(fluent.duration_s + 0.7, abs=0.001)
    assert hesitant.voice_start_s == fluent.voice_start_s
    assert hesitant.voice_end_s == pytest.approx(fluent.voice_end_s + 0.7, abs=0.011)


def test_the_pause_is_as_long_as_it_was_asked_for() -> None:
    samples, _ = soundfile.read(io.BytesIO(clip("ocean", 0.7).wav), dtype="float32")
    before, after = voiced_spans(Waveform(samples, MICROPHONE_HZ), gap_s=0.5)
    assert 0.7 <= after.start_s - before.end_s < 1.0


def test_an_answer_that_begins_inside_the_question_is_a_false_end() -> None:
    assert hesitation(heard_with((3.4, "thinking"), (3.9, "listening")), SPOKEN, 0.4).false_end


def test_an_answer_after_the_question_is_none() -> None:
    calm = heard_with((2.1, "speaking"), (2.4, "listening"), (5.5, "thinking"), (6.0, "speaking"))
    assert not hesitation(calm, SPOKEN, 0.4).false_end


def test_the_share_of_false_ends_is_over_all_pauses() -> None:
    told = [Hesitation("q", 0.4, false_end=at < 1) for at in range(4)]
    assert false_end_percent(told) == 25
    assert false_end_percent([]) is None
