"""The end of the caller's voice as its loudness tells it."""

import numpy as np
import pytest

from proto.last_sound import LastSound
from proto.time_law import HEARING_HZ
from services.room_agent.turn_detector import WINDOW_SAMPLES, WINDOW_US, TurnEvent

pytestmark = pytest.mark.unit


def tone(seconds: float, level: float) -> np.ndarray:
    time_s = np.arange(round(seconds * HEARING_HZ)) / HEARING_HZ
    return (level * np.sin(2 * np.pi * 220 * time_s)).astype(np.int16)


def heard(pcm: np.ndarray, voiced_until_us: int) -> LastSound:
    last = LastSound()
    for index in range(len(pcm) // WINDOW_SAMPLES):
        end_us = (index + 1) * WINDOW_US
        window = pcm[index * WINDOW_SAMPLES : (index + 1) * WINDOW_SAMPLES]
        last.hear(window, end_us, end_us <= voiced_until_us)
    return last


def test_the_voice_ends_with_its_sound_and_not_with_the_detector() -> None:
    quiet = np.random.default_rng(1).normal(0, 8, HEARING_HZ).astype(np.int16)
    pcm = np.concatenate([tone(1.0, 6000), tone(0.13, 900), quiet])
    assert heard(pcm, voiced_until_us=1_280_000).at_us == pytest.approx(1_130_000, abs=10_000)


def test_a_noise_after_the_voice_is_no_voice() -> None:
    pcm = np.concatenate([tone(0.96, 6000), tone(0.48, 1), tone(0.1, 9000)])
    assert heard(pcm, voiced_until_us=1_024_000).at_us == pytest.approx(960_000, abs=10_000)


def test_where_loudness_tells_nothing_the_detector_is_believed() -> None:
    assert TurnEvent("ended", 900, 700).voice_end_us == 700
    assert TurnEvent("ended", 900, 700, sound_us=620).voice_end_us == 620
