"""The speech-feature extractor: equal to a public one, and equal however the audio is cut."""

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank

from proto.speech_features import (
    FFT_SAMPLES,
    HOP_SAMPLES,
    MEL_BINS,
    SpeechFeatures,
    mel_filters,
    token_features,
)

pytestmark = pytest.mark.unit


def test_the_filters_equal_slaneys_in_a_public_library() -> None:
    reference = mel_filter_bank(FFT_SAMPLES // 2 + 1, MEL_BINS, 0, 8000, 16000, "slaney", "slaney")
    np.testing.assert_allclose(mel_filters(), reference, atol=1e-7)


def test_streaming_equals_offline() -> None:
    rng = np.random.default_rng(0)
    pcm = rng.integers(-20_000, 20_000, 16_000, dtype=np.int16)
    offline = SpeechFeatures().push(pcm)
    stream, cuts = SpeechFeatures(), np.sort(rng.integers(0, len(pcm), 40))
    pieces = [stream.push(piece) for piece in np.split(pcm, cuts)]
    assert offline.shape == (len(pcm) // HOP_SAMPLES, MEL_BINS)
    np.testing.assert_allclose(np.concatenate(pieces), offline, atol=1e-5)


def test_a_tone_lights_the_band_that_holds_it() -> None:
    t = np.arange(16_000) / 16_000
    tone = (8_000 * np.sin(2 * np.pi * 1_000 * t)).astype(np.int16)
    loudest = SpeechFeatures().push(tone)[10:].mean(axis=0).argmax()
    bins = np.linspace(0, 8_000, FFT_SAMPLES // 2 + 1)
    centre = bins[mel_filters()[:, loudest].argmax()]
    assert abs(centre - 1_000) < 60


def test_silence_has_the_floor_value_and_nothing_looks_ahead() -> None:
    stream = SpeechFeatures()
    silence = stream.push(np.zeros(1_600, np.int16))
    np.testing.assert_allclose(silence, (np.log10(1e-10) + 4) / 4, rtol=1e-6)
    click = np.zeros(1_600, np.int16)
    click[800] = 30_000
    lit = (SpeechFeatures().push(click) > silence + 0.1).any(axis=1)
    assert not lit[: 800 // HOP_SAMPLES].any()
    assert lit[800 // HOP_SAMPLES]


def test_token_features_group_eight_frames() -> None:
    frames = np.arange(16 * MEL_BINS, dtype=np.float32).reshape(16, MEL_BINS) / 2048
    grouped = token_features(frames)
    assert grouped.shape == (2, 8, MEL_BINS)
    assert grouped.dtype == np.float16
    np.testing.assert_allclose(grouped[1, 0], frames[8], atol=1e-3)
