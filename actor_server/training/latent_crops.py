"""Crops of cached clips, with the conditions that a call would have cut for the same chunks.

Letters as in `latent_store` and `conditioning`: V visible audio slots, n chunks of a crop.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from actor_server.model.geometry import ActorGeometry
from actor_server.motion.conditioning import (
    CUE_NUMBERS,
    FEATURE_DIM,
    HEARD_SLOTS,
    KINDS,
    PHONE_BINS,
    TEXT_SLOTS,
    UNKNOWN_PHONE,
    Visibility,
)
from actor_server.training.latent_clip import LatentLayout, LatentsUnusable, shard_arrays
from actor_server.training.latent_store import LatentIndex, read_shard
from proto.time_law import (
    CHUNK_AUDIO_TOKENS,
    CHUNK_FRAMES,
    SEGMENT_AUDIO_TOKENS,
    SEGMENT_TEXT_SLOTS,
)

OPEN_SHARDS: Final = 64
SPEAKING: Final = KINDS.index("speaking")


class LatentCrop(NamedTuple):
    """reference (R, D) and latents (n, T, D) float32; the fields of ConditionArrays, (n, ...)."""

    reference: NDArray[np.float32]
    latents: NDArray[np.float32]
    conditions: dict[str, NDArray[Any]]


class LatentClips:
    """The clips of a finished dataset, mapped; `lengths` (Q,) are their chunks.

    What is read is what a model of `geometry` sees. Raises LatentsUnusable, here and later.
    """

    def __init__(self, folder: Path, geometry: ActorGeometry) -> None:
        self.index = LatentIndex.read(folder)
        if self.index.layout != (wanted := LatentLayout.of(geometry)):
            raise LatentsUnusable(
                f"{folder} holds {self.index.layout}, the model needs {wanted}: cache the clips "
                "again with the Thinker and the codec that this Actor is for"
            )
        if not geometry.sight.audio_states:
            raise LatentsUnusable(f"{folder} holds the Thinker's states, this model hears features")
        self._sight = geometry.sight
        self._shards = [folder / name for name in self.index.shards]
        for shard, size in zip(self._shards, self.index.shards.values(), strict=True):
            if not shard.is_file() or shard.stat().st_size != size:
                raise LatentsUnusable(f"{shard} is missing or is not the file that was indexed")
        self._opened = lru_cache(OPEN_SHARDS)(_Shard)
        bounds = [self._opened(shard).chunk_bounds for shard in self._shards]
        self._first_of = np.cumsum([0, *(len(shard) - 1 for shard in bounds)])
        self.lengths = np.concatenate([np.diff(shard) for shard in bounds])

    def __len__(self) -> int:
        return len(self.lengths)

    def crop(self, clip: int, first: int, chunks: int) -> LatentCrop:
        """`chunks` chunks of a clip from chunk `first` on, or fewer at its end."""
        place = int(np.searchsorted(self._first_of, clip, side="right")) - 1
        shard = self._opened(self._shards[place])
        within = clip - int(self._first_of[place])
        begin, end = (int(bound) for bound in shard.chunk_bounds[within : within + 2])
        stop = min(first + chunks, end - begin)
        if not 0 <= first < stop:
            raise ValueError(f"chunk {first} of a clip of {end - begin}")
        return LatentCrop(
            shard.rows("reference", within, within + 1)[0].astype(np.float32),
            shard.rows("latents", begin + first, begin + stop).astype(np.float32),
            self._conditions(shard, within, np.arange(first, stop)),
        )

    def _conditions(
        self, shard: "_Shard", clip: int, chunk: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        """Of these chunks of a shard's clip."""
        begin, end = (int(bound) for bound in shard.chunk_bounds[clip : clip + 2])
        kinds = shard.rows("kinds", begin, end)
        count = len(chunk)
        audio, audio_seen = _visible_audio(shard, begin, kinds, chunk, self._sight)
        text, text_seen, text_at = _visible_text(shard, clip, chunk, kinds[chunk] == SPEAKING)
        phones = np.full((count, self._sight.slots, PHONE_BINS), UNKNOWN_PHONE, np.uint8)
        return {
            "audio": audio,
            "audio_seen": audio_seen,
            "phones": phones,
            "heard": np.zeros((count, HEARD_SLOTS, FEATURE_DIM), np.float16),
            "heard_seen": np.zeros((count, HEARD_SLOTS), np.bool_),
            "text": text,
            "text_seen": text_seen,
            "text_at": text_at,
            "kind": kinds[chunk],
            "cues": np.zeros((count, CHUNK_FRAMES, CUE_NUMBERS), np.float16),
        }


class _Shard:
    """One mapped file."""

    def __init__(self, file: Path) -> None:
        self.layout, _ = read_shard(file)
        self._file = file
        self._arrays = cast(Any, safe_open(file, framework="numpy"))  # has no types
        self.chunk_bounds: NDArray[np.int64] = self._arrays.get_tensor("chunk_bounds")
        self.text_bounds: NDArray[np.int64] = self._arrays.get_tensor("text_bounds")
        for name, bounds in (("latents", self.chunk_bounds), ("text", self.text_bounds)):
            rows = self._arrays.get_slice(name).get_shape()[0]
            if bounds[0] != 0 or bounds[-1] != rows or (np.diff(bounds) < 0).any():
                raise LatentsUnusable(f"{file} is damaged, write it again (bounds of {name})")

    def rows(self, name: str, begin: int, end: int) -> NDArray[Any]:
        """Rows [begin, end) of an array."""
        if begin == end:  # safetensors slices no empty array
            shape, dtype = shard_arrays(self.layout)[name]
            return np.zeros((0, *shape), dtype)
        try:
            rows: NDArray[Any] = self._arrays.get_slice(name)[begin:end]
        except SafetensorError as error:
            raise LatentsUnusable(f"{self._file} is damaged, write it again ({error})") from error
        return rows


def _visible_audio(
    shard: _Shard,
    begin: int,
    kinds: NDArray[np.uint8],
    chunk: NDArray[np.int64],
    sight: Visibility,
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """States (n, V, W) and what is seen of them (n, V): tokens of the same stretch of speech."""
    token = CHUNK_AUDIO_TOKENS * chunk[:, None] - sight.history_tokens + np.arange(sight.slots)
    of_chunk = (token // CHUNK_AUDIO_TOKENS).clip(0, len(kinds) - 1)
    stretch = np.cumsum(np.diff(kinds, prepend=kinds[:1]) != 0)
    seen = (token >= 0) & (token < CHUNK_AUDIO_TOKENS * len(kinds))
    seen &= (stretch[of_chunk] == stretch[chunk, None]) & (kinds[chunk, None] == SPEAKING)
    low, high = (int(bound) for bound in (token.min().clip(0), token.max() + 1))
    high = min(high, CHUNK_AUDIO_TOKENS * len(kinds))
    offset = CHUNK_AUDIO_TOKENS * begin
    states = shard.rows("audio", offset + low, offset + high)
    return np.where(seen[..., None], states[(token - low).clip(0, high - low - 1)], 0), seen


def _visible_text(
    shard: _Shard, clip: int, chunk: NDArray[np.int64], speaks: NDArray[np.bool_]
) -> tuple[NDArray[np.float16], NDArray[np.bool_], NDArray[np.float32]]:
    """States (n, 26, W), what is seen of them, and when: the text of the segments touched."""
    token = CHUNK_AUDIO_TOKENS * chunk
    base = token // SEGMENT_AUDIO_TOKENS * SEGMENT_TEXT_SLOTS
    last = (token + CHUNK_AUDIO_TOKENS - 1) // SEGMENT_AUDIO_TOKENS
    slot = base[:, None] + np.arange(TEXT_SLOTS)
    first_row, end_row = (int(bound) for bound in shard.text_bounds[clip : clip + 2])
    slots = shard.rows("text_slots", first_row, end_row)
    low, high = np.searchsorted(slots, [slot.min(), slot.max() + 1]).tolist()
    states = shard.rows("text", first_row + low, first_row + high)
    row_of = np.full(slot.max() - slot.min() + 1, -1)
    row_of[slots[low:high] - slot.min()] = np.arange(high - low)
    row = row_of[slot - slot.min()]
    seen = (row >= 0) & speaks[:, None] & (slot < (last[:, None] + 1) * SEGMENT_TEXT_SLOTS)
    text = np.zeros((*slot.shape, shard.layout.state_width), np.float16)
    text[seen] = states[row[seen]]
    segment, within = np.divmod(slot, SEGMENT_TEXT_SLOTS)
    at = SEGMENT_AUDIO_TOKENS / CHUNK_AUDIO_TOKENS * segment + within / 2 - chunk[:, None]
    return text, seen, np.where(seen, at, 0).astype(np.float32)
