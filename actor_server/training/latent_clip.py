"""One cached clip for an Actor of LTX latents: what it holds, and how it lies in a shard's arrays.

Letters: K chunks, T tokens of a chunk, R of the reference, D channels, S text states, W width of a
state of the Thinker.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from actor_server.model.geometry import ActorGeometry
from actor_server.motion.conditioning import KINDS
from proto.time_law import CHUNK_AUDIO_TOKENS, SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS

LANGUAGES: Final = ("en", "zh")


class LatentsUnusable(ValueError):
    """Clips or a dataset that training cannot use; the text says which, why and what to do."""


@dataclass(frozen=True)
class LatentLayout:
    """Sizes that a dataset was made for."""

    tokens: int
    reference_tokens: int
    latent_dim: int
    state_width: int

    @classmethod
    def of(cls, geometry: ActorGeometry) -> Self:
        """Those of a model."""
        return cls(
            geometry.tokens,
            geometry.reference_tokens,
            geometry.latent_dim,
            geometry.sight.state_width,
        )


@dataclass(frozen=True)
class LatentClip:
    """Some seconds of one face and one voice, laid out for the Thinker as one turn of speech.

    reference (R, D): the portrait, and latents (K, T, D): normalised tokens of the video codec
    (`LatentSpace.tokens`). The codec's latent 0 shows a single frame and is no chunk: latents[0]
    is its latent 1, which shows frames 1 to 8.
    audio (4 K, W): the Thinker's state at each audio token, from the first frame of latents[0] on.
    text (S, W): its states at text tokens; text_slots (S,): their places, 13 to a segment of 26
    audio tokens, rising; segments count from the clip's first token.
    kinds (K,): places in KINDS; nothing is heard or read in chunks where nobody speaks.
    """

    name: str
    language: str
    reference: NDArray[np.floating[Any]]
    latents: NDArray[np.floating[Any]]
    audio: NDArray[np.floating[Any]]
    text: NDArray[np.floating[Any]]
    text_slots: NDArray[np.integer[Any]]
    kinds: NDArray[np.integer[Any]]


def shard_arrays(layout: LatentLayout) -> dict[str, tuple[tuple[int, ...], DTypeLike]]:
    """Shape of one row, and number type, of every array of a shard.

    The bounds have a row more than there are clips: clip q has chunks bounds[q] to bounds[q + 1].
    """
    return {
        "reference": ((layout.reference_tokens, layout.latent_dim), np.float16),
        "latents": ((layout.tokens, layout.latent_dim), np.float16),
        "kinds": ((), np.uint8),
        "audio": ((layout.state_width,), np.float16),
        "text": ((layout.state_width,), np.float16),
        "text_slots": ((), np.int32),
        "languages": ((), np.uint8),
        "chunk_bounds": ((), np.int64),
        "text_bounds": ((), np.int64),
    }


def rows_of(clip: LatentClip, layout: LatentLayout) -> dict[str, NDArray[Any]]:
    """A clip's part of the arrays. Raises LatentsUnusable, naming the clip."""

    def refuse(what: str) -> LatentsUnusable:
        return LatentsUnusable(f"clip {clip.name}: {what}")

    chunks, texts = len(clip.latents), len(clip.text)
    arrays = shard_arrays(layout)
    lengths = {"latents": chunks, "kinds": chunks, "audio": CHUNK_AUDIO_TOKENS * chunks}
    lengths |= {"text": texts, "text_slots": texts}
    shapes = {name: (count, *arrays[name][0]) for name, count in lengths.items()}
    rows: dict[str, NDArray[Any]] = {}
    for name, shape in (shapes | {"reference": arrays["reference"][0]}).items():
        given = np.asarray(getattr(clip, name))
        if given.shape != shape:
            raise refuse(f"{name} is {given.shape}, must be {shape}")
        with np.errstate(over="ignore"):
            rows[name] = given.astype(arrays[name][1])
        if not np.isfinite(rows[name]).all():
            raise refuse(f"{name} holds numbers that half precision cannot")
    if not chunks:
        raise refuse("it has no chunks")
    if clip.language not in LANGUAGES:
        raise refuse(f"language {clip.language!r} is none of {', '.join(LANGUAGES)}")
    kinds, slots = np.asarray(clip.kinds), np.asarray(clip.text_slots)
    if kinds.min() < 0 or kinds.max() >= len(KINDS):
        raise refuse(f"kinds must be places in {KINDS}")
    segments = -(-CHUNK_AUDIO_TOKENS * chunks // SEGMENT_AUDIO_TOKENS)
    room = segments * SEGMENT_TEXT_SLOTS
    if texts and (slots[0] < 0 or slots[-1] >= room or (np.diff(slots) <= 0).any()):
        raise refuse(f"text slots must rise from 0 to at most {room - 1} in {chunks} chunks")
    rows["reference"] = rows["reference"][None]
    rows["languages"] = np.array([LANGUAGES.index(clip.language)], np.uint8)
    return rows
