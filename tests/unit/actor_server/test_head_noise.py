"""The head begins as noise that changes slowly, all else as white noise of the same name."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from actor_server.codec.mesh.latent import BREATH, MOUTH
from actor_server.motion.head_noise import GAINS, HEAD, steady_noise
from actor_server.motion.source import CHUNK_LATENTS
from actor_server.sampler import named_noise

pytestmark = pytest.mark.unit


def spectra(noise: torch.Tensor) -> np.ndarray:
    """Of the head's numbers, (T, 6), slowest first."""
    return np.asarray(dct(noise[:, HEAD].numpy(), axis=0, norm="ortho"))


def test_the_head_keeps_the_slow_part_of_its_noise() -> None:
    for chunk in range(3):
        white, steady = (make(7, chunk, CHUNK_LATENTS) for make in (named_noise, steady_noise))
        kept = len(GAINS)
        gains = np.array(GAINS)[:, None]
        np.testing.assert_allclose(spectra(steady)[:kept], gains * spectra(white)[:kept], atol=1e-9)
        assert np.abs(spectra(white)[kept:]).max() > 0.1
        np.testing.assert_allclose(spectra(steady)[kept:], 0, atol=1e-9)


def test_all_else_is_white_noise_of_the_same_name() -> None:
    white, steady = (make(7, 3, CHUNK_LATENTS) for make in (named_noise, steady_noise))
    assert HEAD.stop == MOUTH.start
    assert torch.equal(steady[:, HEAD.stop : BREATH + 1], white[:, HEAD.stop : BREATH + 1])
    assert torch.equal(steady, steady_noise(7, 3, CHUNK_LATENTS))
    assert not torch.equal(steady, steady_noise(7, 4, CHUNK_LATENTS))
    assert steady.shape == CHUNK_LATENTS


def test_chunks_of_few_frames_keep_what_they_have() -> None:
    white, steady = (make(7, 3, (2, 31)) for make in (named_noise, steady_noise))
    np.testing.assert_allclose(spectra(steady)[0], spectra(white)[0], atol=1e-9)
    np.testing.assert_allclose(spectra(steady)[1], 1.2 * spectra(white)[1], atol=1e-9)
