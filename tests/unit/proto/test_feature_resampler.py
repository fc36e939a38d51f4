"""24 kHz to 16 kHz: the same however it is cut, and true to the sound."""

import numpy as np
import pytest
from scipy.signal import firwin, upfirdn

from proto.feature_resampler import CUTOFF_HZ, DOWN, TAPS, UP, FeatureResampler

pytestmark = pytest.mark.unit


def tone(hz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)


@pytest.mark.parametrize("seed", range(5))
def test_streaming_equals_offline(seed: int) -> None:
    random = np.random.default_rng(seed)
    pcm = random.integers(-20_000, 20_000, 10_000).astype(np.int16)
    whole = FeatureResampler().push(pcm)
    streaming = FeatureResampler()
    cuts = np.sort(random.integers(0, len(pcm), 40))
    pieces = [streaming.push(piece) for piece in np.split(pcm, cuts)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert len(whole) == len(pcm) // 3 * 2


def test_it_computes_what_scipys_polyphase_filter_does() -> None:
    pcm = np.random.default_rng(5).integers(-32_768, 32_768, 9_000).astype(np.int16)
    taps = firwin(TAPS, CUTOFF_HZ, fs=48_000) * UP
    expected = upfirdn(taps, pcm.astype(np.float64), UP, DOWN)[: len(pcm) * UP // DOWN]
    expected = np.clip(np.rint(expected), -32_768, 32_767).astype(np.int16)
    assert np.array_equal(FeatureResampler().push(pcm), expected)


def test_a_tone_keeps_its_level_and_pitch() -> None:
    heard = FeatureResampler().push(tone(1000, 24_000)).astype(float)[200:]
    spectrum = np.abs(np.fft.rfft(heard[:15_000]))
    assert np.argmax(spectrum) * 16_000 / 15_000 == pytest.approx(1000, abs=1.1)
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.01)


def test_what_16_khz_cannot_carry_is_removed() -> None:
    heard = FeatureResampler().push(tone(9500, 24_000)).astype(float)[200:]
    assert np.sqrt(np.mean(heard**2)) < 80


def test_loud_speech_does_not_wrap_around() -> None:
    loudest = np.repeat(np.array([-32768, 32767] * 20, np.int16), 300)
    heard = FeatureResampler().push(loudest).reshape(-1, 200)[:, 40:]
    assert (heard[0::2] < -32_000).all()
    assert (heard[1::2] > 32_000).all()
