"""The measuring itself, measured: a double shows and sounds known things at known moments."""

import asyncio

import pytest

from services.callbench.config import CallbenchConfig
from services.callbench.measure import CallFigures, measure, observe_mouth
from services.callbench.mouth import Mouth
from services.callbench.recording import CallRecording
from services.callbench.waveform import Span, voiced_spans
from tests.browser.double.publisher import Double, Script
from tests.browser.double.stage import perform, stage

pytestmark = [pytest.mark.browser, pytest.mark.realtime]

SPEECH = [(4.5, 7.5), (9.0, 11.0)]
STALL = (8.0, 8.6)
LENGTH_S = 12.0
SOUND_LATE_MS = 160
# From the publisher's hand to the caller's eyes and ears, on one machine.
ON_THE_WAY_S = 0.4

Shown = tuple[CallRecording, CallFigures, Mouth, Double]


class Theatre:
    """Performs a script for every try of a test; tests share what they can."""

    def __init__(self, browser: CallbenchConfig, folders: pytest.TempPathFactory) -> None:
        self._browser = browser
        self._folders = folders
        self._shown: dict[tuple[int, int], Shown] = {}

    def show(self, script: Script, attempt: int) -> Shown:
        """The performance for this try."""
        play = (script.sound_late_ms, attempt)
        if play not in self._shown:
            with stage(self._folders.mktemp("double")) as where:
                recording, double = asyncio.run(perform(where, script, "double", self._browser))
            self._shown[play] = recording, measure(recording), observe_mouth(recording), double
        return self._shown[play]


@pytest.fixture(scope="module")
def theatre(browser: CallbenchConfig, tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    return Theatre(browser, tmp_path_factory)


@pytest.fixture
def in_step(theatre: Theatre, attempt: int) -> Shown:
    """Sound and picture together, and a picture that stands still for 0.6 s."""
    return theatre.show(Script(SPEECH, [STALL], 0, LENGTH_S), attempt)


@pytest.fixture
def out_of_step(theatre: Theatre, attempt: int) -> Shown:
    """The sound comes late."""
    return theatre.show(Script(SPEECH, [], SOUND_LATE_MS, LENGTH_S), attempt)


def test_voice_and_lips_are_found_when_they_were_sent(in_step: Shown) -> None:
    recording, _, mouth, double = in_step
    for found in (voiced_spans(recording.sound), mouth.moving_spans()):
        for start_s, _end_s in SPEECH:
            sent_s = double.left_at_s(start_s)
            nearest = min((span.start_s for span in found), key=lambda at: abs(at - sent_s))
            assert -0.1 <= nearest - sent_s <= ON_THE_WAY_S


def test_answer_latency_is_the_time_between_the_voices(in_step: Shown) -> None:
    recording, figures, _, double = in_step
    answered_s = double.left_at_s(SPEECH[0][0])
    truth_ms = 1e3 * (answered_s - recording.spoken[0].voice_end_s)
    (turn,) = figures.turns
    assert turn.voice_to_voice_ms is not None
    assert turn.voice_to_face_ms is not None
    assert -100 <= turn.voice_to_voice_ms - truth_ms <= 1e3 * ON_THE_WAY_S
    assert -100 <= turn.voice_to_face_ms - truth_ms <= 1e3 * ON_THE_WAY_S


def test_lips_move_in_speech_only_however_the_head_sways(in_step: Shown) -> None:
    recording, figures, mouth, _ = in_step
    assert mouth.share_moving(voiced_spans(recording.sound)) > 0.8
    voiced = voiced_spans(recording.sound)
    between = [Span(voiced[0].end_s + 0.2, voiced[1].start_s - 0.2)]
    assert mouth.share_moving(between) < 0.15
    assert figures.lip_motion_speaking > 5 * figures.lip_motion_silent


def test_a_picture_that_stands_still_is_counted_as_a_freeze(in_step: Shown) -> None:
    # A busy machine may freeze the other double too, so it is no measure of this one.
    assert in_step[1].transport.freezes >= 1
    assert in_step[1].transport.frozen_ms >= 400


def test_late_sound_is_seen_in_lips_and_sound_by_as_much_as_it_is_late(
    in_step: Shown, out_of_step: Shown
) -> None:
    together, apart = in_step[1].lips_lag_ms, out_of_step[1].lips_lag_ms
    assert together is not None
    assert apart is not None
    in_transport = in_step[1].transport.av_offset_ms, out_of_step[1].transport.av_offset_ms
    # The transport's own figure tells how far the streams ran apart on the way.
    assert together == pytest.approx(in_transport[0], abs=60)
    assert apart == pytest.approx(in_transport[1] - SOUND_LATE_MS, abs=60)
