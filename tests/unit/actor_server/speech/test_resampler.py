"""22 050 to 24 000 Hz: the same however it is cut, in time, and true to the sound."""

import numpy as np
import pytest

from actor_server.speech.mel_clock import SAMPLE_HZ, TOKEN_SAMPLES
from actor_server.speech.resampler import DOWN, UP, SpeechResampler
from proto import time_law

pytestmark = pytest.mark.unit

TOKENS = 25
"""Two seconds."""


def tone(hz: float) -> np.ndarray:
    t = np.arange(TOKENS * TOKEN_SAMPLES) / SAMPLE_HZ
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def resampled(samples: np.ndarray) -> np.ndarray:
    resampler = SpeechResampler()
    return np.concatenate([resampler.push(samples), resampler.finish(0)])


@pytest.mark.parametrize("seed", range(5))
def test_streaming_equals_offline(seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = random.uniform(-0.9, 0.9, 20_000).astype(np.float32)
    whole = SpeechResampler().push(samples)
    streaming = SpeechResampler()
    cuts = np.sort(random.integers(0, len(samples), 40))
    pieces = [streaming.push(piece) for piece in np.split(samples, cuts)]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_a_token_is_a_token_at_both_rates() -> None:
    assert len(resampled(tone(440))) == TOKENS * time_law.TOKEN_SAMPLES


def test_what_is_missing_at_the_end_is_silence() -> None:
    resampler = SpeechResampler()
    early = resampler.push(tone(440)[:-200])
    late = resampler.finish(200)
    assert len(early) + len(late) == TOKENS * time_law.TOKEN_SAMPLES
    assert not late[-100:].any()


@pytest.mark.parametrize("hz", [100.0, 1000.0, 8000.0])
def test_a_tone_keeps_its_level_its_pitch_and_its_place(hz: float) -> None:
    heard = resampled(tone(hz)).astype(float)
    t = np.arange(len(heard)) / time_law.SPEECH_HZ
    expected = 0.5 * 32767 * np.sin(2 * np.pi * hz * t)
    inside = slice(500, -500)
    assert np.abs(heard - expected)[inside].max() < 0.002 * 32767


def test_nothing_appears_above_what_the_source_could_hold() -> None:
    random = np.random.default_rng(0)
    noise = random.uniform(-0.5, 0.5, TOKENS * TOKEN_SAMPLES).astype(np.float32)
    heard = resampled(noise).astype(float)
    power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    hz = np.fft.rfftfreq(len(heard), 1 / time_law.SPEECH_HZ)
    assert power[hz > 11_200].mean() < 1e-5 * power[hz < 10_000].mean()


def test_loud_speech_does_not_wrap_around() -> None:
    square = np.repeat(np.array([0.99, -0.99] * 20, np.float32), 4 * DOWN)
    heard = resampled(square).reshape(-1, 4 * UP)[:, 40:-40]
    assert (heard[0::2] > 30_000).all()
    assert (heard[1::2] < -30_000).all()
