"""Voices that glide, and the brows of whoever listens to them."""

import numpy as np
import pytest

from actor_server.codec.mesh.latent import BROWS, LATENT_DIM
from actor_server.motion.intonation import pitches
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Condition, Floats, HeardWindow
from proto.speech_features import TOKEN_MEL_FRAMES, log_mel
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_US, HEARING_HZ

pytestmark = pytest.mark.unit

OVERLAP = 240
"""Samples that the first hop looks back on."""
MIDDLE_HZ = 180.0


def voice(octaves: Floats, tilt: float = 1.0) -> Floats:
    """Log-mel of harmonics so many octaves (N,) above MIDDLE_HZ; they fall off by `tilt`."""
    phase = 2 * np.pi * np.cumsum(MIDDLE_HZ * 2.0**octaves) / HEARING_HZ
    harmonics = np.arange(1, 20)[:, None]
    tone = (np.sin(harmonics * phase) / harmonics**tilt).sum(0)
    return log_mel(0.1 * np.pad(tone, (OVERLAP, 0)).astype(np.float32))


@pytest.mark.parametrize("tilt", [0.5, 1.0, 1.5])
def test_a_voice_that_glides_is_heard_to(tilt: float) -> None:
    octaves = 0.5 * np.sin(2 * np.pi * np.arange(4 * HEARING_HZ) / (2 * HEARING_HZ))
    heard = pitches(voice(octaves, tilt))
    said = octaves.reshape(len(heard), -1).mean(1)
    assert np.corrcoef(heard, said)[0, 1] > 0.85


def test_louder_is_not_higher() -> None:
    steady = voice(np.zeros(HEARING_HZ))
    np.testing.assert_allclose(pitches(steady + 0.2), pitches(steady), atol=1e-3)


def test_the_listener_raises_the_brows_for_a_voice_that_rises_and_lowers_them_when_it_falls() -> (
    None
):
    chunk = CHUNK_US * HEARING_HZ // 1_000_000
    slow = np.repeat(np.tile([-0.3, 0.3], 20), 4 * chunk)  # equally loud all the time
    features = voice(slow).reshape(-1, CHUNK_AUDIO_TOKENS, TOKEN_MEL_FRAMES, 80)
    stream = ProceduralMotion().open(np.zeros(LATENT_DIM, np.float32), seed=5)
    brows = []
    for heard in features:
        stream.offer(Condition("listening", 0, heard=HeardWindow(True, heard)))
        made = stream.next_chunk()
        assert made is not None
        brows.append(made[:, BROWS].mean())
    low, high = np.array(brows[8:]).reshape(-1, 2, 4)[:, :, 1:].mean((0, 2))
    assert high > low + 0.05
