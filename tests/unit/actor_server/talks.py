"""Made-up talk for tests of the evaluation: a mouth and a voice that have the same cause."""

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import LATENT_DIM, MOUTH
from actor_server.evaluation.audio_lip_judge import HOPS_PER_FRAME
from actor_server.evaluation.lip_track import LipTrack, eye_distance
from actor_server.evaluation.takes import Take
from actor_server.motion.conditioning import ConditionArrays, Visibility, condition_arrays
from actor_server.motion.source import Condition, Floats, SpeechWindow
from proto.messages import Phone
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_FRAMES, CHUNK_US

SIGHT = Visibility(history_tokens=4, lookahead_tokens=1, state_width=3)
CAUSES = 4
SYLLABLES = ("M", "AA", "B", "EY", "S", "UW", "P", "IY")


def causes(seed: int, frames: int) -> NDArray[np.float64]:
    """What a speaker does, (F, CAUSES): smooth, of unit size, the first one the jaw's."""
    noise = np.random.default_rng(seed).normal(size=(frames + 8, CAUSES))
    kernel = np.hanning(7) / np.linalg.norm(np.hanning(7))
    return np.stack([np.convolve(column, kernel, "same") for column in noise.T], 1)[4:-4]


def voice_of(caused: NDArray[np.float64], noise_seed: int = 0) -> Floats:
    """Hops (4 F, 80) of a voice near its peak whose colour follows the causes."""
    colours = np.random.default_rng(99).normal(size=(CAUSES, MEL_BINS // 4))
    bands = np.repeat(caused @ colours, 4, axis=1)
    hops = np.repeat(bands, HOPS_PER_FRAME, axis=0) * 0.05 + 0.3
    noise = np.random.default_rng(noise_seed).normal(size=hops.shape) * 0.02
    return (hops + noise).astype(np.float32)


def mouths_of(caused: NDArray[np.float64]) -> Floats:
    """Latents (F, 31) of a face whose mouth follows the causes and nothing else moves."""
    latents = np.zeros((len(caused), LATENT_DIM), np.float32)
    latents[:, MOUTH.start : MOUTH.start + CAUSES] = caused
    return latents


def lips_of(caused: NDArray[np.float64]) -> Floats:
    """Lip points (F, P)."""
    return LipTrack.of_latents(mouths_of(caused)).points


def parted(gaps: NDArray[np.float64]) -> Floats:
    """Latents (F, 31) with the inner lips so far apart, eye distances."""
    row = mouth_basis().features["gap"]
    latents = np.zeros((len(gaps), LATENT_DIM), np.float32)
    latents[:, MOUTH] = np.outer(gaps * eye_distance(), row / (row @ row))
    return latents


def conditions_for(hops: Floats, phones: tuple[Phone, ...]) -> tuple[ConditionArrays, ...]:
    """The conditions of one turn that begins with the take and does not end in it."""
    tokens = hops.reshape(-1, TOKEN_MEL_FRAMES, MEL_BINS)
    made = []
    for chunk in range(len(tokens) // CHUNK_AUDIO_TOKENS):
        first = chunk * CHUNK_AUDIO_TOKENS
        rows = np.arange(first - SIGHT.history_tokens, first - SIGHT.history_tokens + SIGHT.slots)
        seen = (rows >= 0) & (rows < len(tokens))
        features = np.where(seen[:, None, None], tokens[np.clip(rows, 0, len(tokens) - 1)], 0.0)
        window = SpeechWindow(
            turn=1,
            first_token=first,
            audio_tokens=CHUNK_AUDIO_TOKENS,
            history_tokens=SIGHT.history_tokens,
            features=features.astype(np.float32),
            heard=seen,
            phones=phones,
            last=first + CHUNK_AUDIO_TOKENS == len(tokens),
        )
        made.append(condition_arrays(Condition("speaking", 1, window), SIGHT))
    return tuple(made)


def syllables(chunks: int, each_us: int = 160_000) -> tuple[Phone, ...]:
    """Phones without a pause."""
    return tuple(
        Phone(
            symbol=SYLLABLES[number % len(SYLLABLES)],
            start_us=number * each_us,
            end_us=(number + 1) * each_us,
        )
        for number in range(chunks * CHUNK_US // each_us)
    )


def take(seed: int, chunks: int = 25, source: str = "grid") -> Take:
    """A take whose stored mouth follows its voice; all of it is trusted but the head."""
    caused = causes(seed, chunks * CHUNK_FRAMES)
    latents = mouths_of(caused)
    trusted = np.zeros(latents.shape, np.bool_)
    trusted[:, MOUTH] = True
    conditions = conditions_for(voice_of(caused, seed), syllables(chunks))
    return Take(source, latents, trusted, conditions, SIGHT.history_tokens)
