"""Disguised voices and the caller's microphone."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from actor_server.training.caller import Caller
from actor_server.training.disguise import SILENT_LEVEL, Disguise, add_levels, room_tone
from proto.speech_features import SpeechFeatures, token_features

pytestmark = pytest.mark.unit


def dice() -> np.random.Generator:
    return np.random.default_rng(0)


def tone(amplitude: float) -> NDArray[np.float32]:
    """(10, 8, 80) of a sum of tones."""
    time = np.arange(12_800) / 16_000
    wave = np.sin(2 * np.pi * np.array([[200], [900], [2500]]) * time).sum(0)
    pcm = (wave * amplitude * 4000).astype(np.int16)
    return token_features(SpeechFeatures().push(pcm)).astype(np.float32)


def test_a_gain_is_what_louder_samples_give() -> None:
    louder = Disguise(gain_db=6.02).worn(tone(1.0), dice())
    truth = tone(2.0)
    heard = truth > -0.5
    np.testing.assert_allclose(louder[heard], truth[heard], atol=0.02)


def test_a_longer_vocal_tract_moves_formants_down() -> None:
    peaks = np.zeros((1, 8, 80), np.float32)
    peaks[..., 40] = 1.0
    moved = Disguise(tract=1.25).worn(peaks, dice())
    assert moved[0, 0].argmax() == 32


def test_noise_fills_silence_and_leaves_the_voice() -> None:
    speech = tone(1.0)
    noisy = Disguise(hiss=room_tone(dice(), -0.6)).worn(speech, dice())
    assert np.abs(noisy[speech < -1.2].mean() + 0.6) < 0.2
    loud = speech > 0.2
    np.testing.assert_allclose(noisy[loud], speech[loud], atol=0.05)


def test_the_same_dice_make_the_same_disguise() -> None:
    one = Disguise.draw(dice()).worn(tone(1.0), dice())
    np.testing.assert_array_equal(one, Disguise.draw(dice()).worn(tone(1.0), dice()))


def test_two_equal_sounds_have_twice_the_power() -> None:
    both = add_levels(np.zeros(3, np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(both, np.log10(2) / 4, atol=1e-6)


@dataclass(frozen=True)
class Drone:
    """Somebody who says one thing."""

    def features(self, dice: np.random.Generator) -> NDArray[np.floating]:
        return np.full((9, 8, 80), 0.4, np.float16)


def test_a_caller_is_heard_while_talking_and_the_windows_follow_without_a_gap() -> None:
    caller = Caller(Drone(), Disguise(), None, muted=False)
    talks = [False] * 3 + [True] * 5 + [False] * 2
    windows = caller.windows(talks, dice())
    assert [window.speaking for window in windows] == talks
    assert all(2 <= len(window.features) <= 6 for window in windows)
    whole = np.concatenate([window.features for window in windows])
    assert 38 <= len(whole) <= 40
    loud = whole.mean((1, 2)) > 0
    assert loud[13:31].any()
    assert not loud[:11].any()
    assert not loud[-7:].any()


def test_a_muted_caller_sends_nothing_until_they_talk() -> None:
    caller = Caller(Drone(), Disguise(), room_tone(dice(), -0.8), muted=True)
    lengths = [len(w.features) for w in caller.windows([False, True, False], dice())]
    assert lengths[0] == 0
    assert lengths[1] > 0
    assert lengths[2] == 0


def test_a_quiet_room_is_never_below_silence() -> None:
    caller = Caller(Drone(), Disguise(), room_tone(dice(), -1.5), muted=False)
    heard = np.concatenate([w.features for w in caller.windows([False] * 4, dice())])
    assert heard.min() >= SILENT_LEVEL
