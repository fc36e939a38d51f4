"""A cached dataset of a few seconds for an Actor of LTX latents, of any tiny size."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from actor_server.model.geometry import TINY, ActorGeometry
from actor_server.motion.source import Visibility
from actor_server.training.latent_clip import LatentClip, LatentLayout
from actor_server.training.latent_store import finish_dataset, write_shard

WIDTH = 16
GEOMETRY = ActorGeometry.from_dict(
    TINY.to_dict()
    | {
        "grid": (1, 2, 2),
        "sight": asdict(Visibility(4, 2, state_width=WIDTH, audio_states=True)),
        "phone_width": 0,
        "project_conditions": False,
        "context_chunks": 5,
    }
)
"""A sixteenth of LTX's tokens; it sees 5 chunks back, so that short clips leave its context."""
RECIPE = {"thinker": "tiny", "codec": "tiny"}


def clip(name: str, chunks: int, seed: int, geometry: ActorGeometry = GEOMETRY) -> LatentClip:
    """One who speaks, listens for the fifth and sixth chunk, and speaks again.

    A latent's numbers follow the first number of its own tokens' states, so it can be learned.
    """
    dice = np.random.default_rng(seed)
    layout = LatentLayout.of(geometry)
    audio = dice.normal(0, 1, (4 * chunks, layout.state_width))
    shape = (chunks, layout.tokens, layout.latent_dim)
    loudness = audio[:, 0].reshape(chunks, 4).mean(1)
    slots = np.array([slot for slot in range(-(-4 * chunks // 26) * 13) if slot % 13 < 11])
    kinds = np.zeros(chunks, np.int64)
    kinds[4:6] = 1
    return LatentClip(
        name=name,
        language="zh" if seed % 2 else "en",
        reference=dice.normal(0, 1, (layout.reference_tokens, layout.latent_dim)),
        latents=loudness[:, None, None] + dice.normal(0, 0.1, shape),
        audio=audio,
        text=dice.normal(0, 1, (len(slots), layout.state_width)),
        text_slots=slots,
        kinds=kinds,
    )


def write_latents(folder: Path, geometry: ActorGeometry = GEOMETRY) -> Path:
    """Six clips of 3 to 13 chunks in two shards."""
    folder.mkdir(parents=True, exist_ok=True)
    layout = LatentLayout.of(geometry)
    clips = [clip(f"clip{n}", 3 + 2 * n, n, geometry) for n in range(6)]
    write_shard(folder / "00000.safetensors", layout, clips[:4])
    write_shard(folder / "00001.safetensors", layout, clips[4:])
    finish_dataset(folder, RECIPE)
    return folder
