"""Turn detection on audio time: probabilities in, events out."""

import pytest

from services.room_agent.turn_detector import (
    WINDOW_US,
    TurnDetector,
    TurnEvent,
    TurnPhase,
    TurnTuning,
)

pytestmark = pytest.mark.unit

VOICE, SILENCE = 0.95, 0.05


def hear(
    detector: TurnDetector, probability: float, ms: int, busy: bool = False
) -> list[TurnEvent]:
    """Events of a stretch of audio."""
    heard = [detector.hear(probability, busy) for _ in range(round(ms * 1000 / WINDOW_US))]
    return [event for event in heard if event is not None]


def kinds(events: list[TurnEvent]) -> list[str]:
    return [event.kind for event in events]


def test_a_turn_starts_pauses_and_ends() -> None:
    detector = TurnDetector(TurnTuning())
    assert hear(detector, SILENCE, 500) == []
    (started,) = hear(detector, VOICE, 960)  # 500 ms are 16 windows
    assert (started.kind, started.voice_us) == ("started", 512_000)
    assert started.at_us - started.voice_us == 128_000
    paused, ended = hear(detector, SILENCE, 1_000)
    assert (paused.kind, ended.kind) == ("paused", "ended")
    assert paused.at_us - paused.voice_us == 64_000
    assert ended.at_us - ended.voice_us == 800_000
    assert detector.phase is TurnPhase.QUIET


def test_the_surer_the_model_the_shorter_the_wait() -> None:
    for probability, wait_us in ((0.9, 320_000), (0.51, 576_000), (0.1, 800_000)):
        detector = TurnDetector(TurnTuning())
        hear(detector, VOICE, 960)
        hear(detector, SILENCE, 128)
        detector.judge(probability)
        (ended,) = hear(detector, SILENCE, 1_000)
        assert ended.at_us - ended.voice_us == wait_us


@pytest.mark.parametrize("tuning", [TurnTuning(), TurnTuning(pause_ms=192)])
def test_each_pause_is_judged_once_when_it_has_lasted(tuning: TurnTuning) -> None:
    detector = TurnDetector(tuning)
    judged_at_us = []
    for probability, length_ms in ((VOICE, 640), (SILENCE, 320), (VOICE, 320), (SILENCE, 320)):
        for _ in range(length_ms // 32):
            hear(detector, probability, 32)
            if detector.wants_judgement:
                judged_at_us.append(detector.now_us)
    wait_us = max(tuning.judge_ms, tuning.pause_ms) * 1000
    assert judged_at_us == [640_000 + wait_us, 1_280_000 + wait_us]


def test_a_judgement_that_comes_after_the_pause_is_over_changes_nothing() -> None:
    detector = TurnDetector(TurnTuning())
    hear(detector, VOICE, 960)
    hear(detector, SILENCE, 160)
    assert kinds(hear(detector, VOICE, 320)) == ["resumed"]
    detector.judge(0.99)
    _, ended = hear(detector, SILENCE, 1_000)
    assert ended.at_us - ended.voice_us == 800_000


def test_a_caller_who_goes_on_after_a_pause_keeps_the_turn() -> None:
    detector = TurnDetector(TurnTuning())
    hear(detector, VOICE, 640)
    assert kinds(hear(detector, SILENCE, 640)) == ["paused"]
    assert kinds(hear(detector, VOICE, 640)) == ["resumed"]
    assert kinds(hear(detector, SILENCE, 960)) == ["paused", "ended"]


@pytest.mark.parametrize("click_ms", [32, 64, 96])
def test_clicks_start_nothing(click_ms: int) -> None:
    detector = TurnDetector(TurnTuning())
    for _ in range(20):
        assert hear(detector, VOICE, click_ms) == []
        assert hear(detector, SILENCE, 480) == []


def test_a_cough_is_suspected_but_interrupts_no_reply() -> None:
    detector = TurnDetector(TurnTuning())
    assert hear(detector, VOICE, 32, busy=True) == []
    assert not detector.suspects
    assert hear(detector, VOICE, 128, busy=True) == []
    assert detector.suspects
    assert hear(detector, SILENCE, 320, busy=True) == []
    assert not detector.suspects


def test_speech_interrupts_a_reply_after_224_ms_despite_plosives() -> None:
    detector = TurnDetector(TurnTuning())
    hear(detector, VOICE, 96, busy=True)
    hear(detector, SILENCE, 64, busy=True)
    (started,) = hear(detector, VOICE, 192, busy=True)
    assert started.kind == "started"
    assert started.voice_us == 0
    assert started.at_us == 288_000


def test_soft_ends_of_words_stay_voice() -> None:
    detector = TurnDetector(TurnTuning())
    hear(detector, VOICE, 320)
    assert hear(detector, 0.4, 2_000) == []
    assert TurnDetector(TurnTuning()).hear(0.4, busy=False) is None
    fresh = TurnDetector(TurnTuning())
    assert hear(fresh, 0.4, 2_000) == []
    assert not fresh.voiced


def test_a_voice_without_end_is_cut_into_turns() -> None:
    detector = TurnDetector(TurnTuning(max_turn_ms=5_000))
    events = hear(detector, VOICE, 12_000)
    assert kinds(events) == ["started", "ended", "started", "ended", "started"]


def test_a_reset_forgets_the_turn() -> None:
    detector = TurnDetector(TurnTuning())
    hear(detector, VOICE, 640)
    detector.reset()
    assert hear(detector, SILENCE, 2_000) == []
