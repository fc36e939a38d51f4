"""The caller's audio on its way to turn events, features and the end-of-turn model."""

import asyncio

import numpy as np
import pytest

from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from services.room_agent.ears import Ears, Models, local_turn_model, local_voice_model
from services.room_agent.turn_detector import TurnDetector, TurnEvent, TurnTuning
from tests.unit.services.room_agent.fake_call import LoudnessModel

pytestmark = pytest.mark.unit

BLOCK = 320


class FixedTurnModel:
    """Always as sure; remembers what it was asked."""

    def __init__(self, probability: float) -> None:
        self._probability = probability
        self.asked: list[int] = []

    def predict(self, pcm: np.ndarray) -> float:
        self.asked.append(len(pcm))
        return self._probability


def ears(turn_model: FixedTurnModel | None = None) -> tuple[Ears, list[TurnEvent]]:
    events: list[TurnEvent] = []
    detector = TurnDetector(TurnTuning())
    return Ears(Models(LoudnessModel(), turn_model), detector, events.append, lambda: False), events


def hear(made: Ears, seconds: float, level: int) -> None:
    for _ in range(round(seconds * 50)):
        made.hear(np.full(BLOCK, level, np.int16))


def test_blocks_of_20_ms_become_windows_of_32_ms() -> None:
    made, events = ears()
    hear(made, 0.5, 0)
    hear(made, 1.0, 1_000)
    hear(made, 1.0, 0)
    assert [event.kind for event in events] == ["started", "paused", "ended"]
    assert made.pts_us == 2_500_000
    assert made.detector.now_us == 2_500_000 // 32_000 * 32_000


def test_features_come_in_whole_audio_tokens_and_none_is_lost() -> None:
    made, _ = ears()
    tokens = 0
    for _ in range(50):
        hear(made, 0.02, 500)
        if (features := made.take_features()) is not None:
            assert features.shape[1:] == (TOKEN_MEL_FRAMES, MEL_BINS)
            assert features.dtype == np.float16
            tokens += len(features)
    assert tokens == 12


async def test_a_pause_is_judged_once_and_a_sure_turn_ends_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = FixedTurnModel(0.9)
    made, events = ears(model)
    judged, judge = asyncio.Event(), made.detector.judge
    monkeypatch.setattr(made.detector, "judge", lambda sure: (judge(sure), judged.set()))
    judging = asyncio.create_task(made.judge_pauses())
    hear(made, 2.0, 1_000)
    hear(made, 0.2, 0)
    await asyncio.wait_for(judged.wait(), 5)
    hear(made, 0.5, 0)
    judging.cancel()
    assert [event.kind for event in events] == ["started", "paused", "ended"]
    assert events[-1].at_us - events[-1].voice_us < 400_000
    assert model.asked == [37 * 512]


def test_the_local_models_know_noise_from_nothing() -> None:
    voice, turn = local_voice_model(), local_turn_model()
    assert 0 <= voice.predict(np.zeros(512, np.int16)) < 0.3
    assert 0 <= turn.predict(np.zeros(19_200, np.int16)) <= 1
