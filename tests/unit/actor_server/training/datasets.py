"""A dataset of a few seconds for tests of training: the tiny model can learn its lips."""

from pathlib import Path

import numpy as np

from actor_server.codec.mesh.latent import GAZE, LATENT_DIM, MOUTH
from actor_server.model.geometry import TINY, ActorGeometry
from actor_server.motion.conditioning import ConditionArrays, condition_arrays
from actor_server.motion.source import CHUNK_LATENTS
from actor_server.training.chunk_store import SPLITS, DatasetIndex, Sequence, SplitWriter
from tests.unit.actor_server.conditions import reply, speaking

GEOMETRY = ActorGeometry.from_dict(
    TINY.to_dict() | {"latent_dim": LATENT_DIM, "grid": (CHUNK_LATENTS[0], 1, 1), "width": 32}
)
TRUSTED = slice(MOUTH.start, GAZE.stop)
"""Not the head: one that jumps at random would drown the lips' part of the loss."""


def conditions(chunks: int) -> list[ConditionArrays]:
    """A spoken sentence over and over."""
    spoken = speaking(reply("M AA M IY B AA P UW F EH SIL AA B IY"), sight=GEOMETRY.sight)
    arrays = [condition_arrays(one, GEOMETRY.sight) for one in spoken]
    return [arrays[place % len(arrays)] for place in range(chunks)]


def sequence(chunks: int, seed: int) -> Sequence:
    """Lips that follow the loudness of the chunk's own audio slots, other numbers at random."""
    rows = conditions(chunks)
    own = GEOMETRY.sight.history_tokens
    latents = np.random.default_rng(seed).normal(0, 0.1, (chunks, *CHUNK_LATENTS))
    for place, row in enumerate(rows):
        loudness = row.audio[own : own + 4].astype(np.float32).mean(1)
        latents[place, :, MOUTH.start] = np.repeat(loudness, 2)
    trusted = np.zeros(latents.shape, np.bool_)
    trusted[..., TRUSTED] = True
    return Sequence("spoken", latents.astype(np.float32), trusted, rows)


def write_dataset(folder: Path) -> Path:
    """Four sequences of 9 chunks to train on, two held out."""
    counts = {"train": 4, "held_out": 2, "judge": 0}
    for split in SPLITS:
        writer = SplitWriter(folder / split, GEOMETRY.sight)
        for number in range(counts[split]):
            writer.append(sequence(9, seed=10 * number + len(split)))
        writer.close()
    zeros, ones = [0.0] * LATENT_DIM, [1.0] * LATENT_DIM
    DatasetIndex(GEOMETRY.sight, zeros, ones, {}, recipe={"seed": 0}).write(folder)
    return folder
