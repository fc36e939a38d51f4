"""Streams of motion from a `VideoTransformer`: every pass lowers all chunks in flight by a level.

A pass computes, for all sessions at once, the pending clean chunk (whose keys and values it brings
into the cache) and the window of noisy ones behind it. Noisy chunks leave no trace in the cache.
What a stream computes equals the full-matrix computation K[m, c] = clip(N + s c - m, 0, N).

Source: X-Streamer, section 3.2 and appendix A.2; arXiv 2407.01392 (diffusion forcing).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from actor_server.cache import ContextLost, RingCache
from actor_server.graphs import PassGraphs, PassShape
from actor_server.model.conditioner import Conditions
from actor_server.model.layers import KeyValues, additive
from actor_server.model.mask import FULL_SIGHT, PassRow, SightRules, pass_mask
from actor_server.model.rotary import Rotation
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.source import NEVER_SHOWN, ChunkForgotten, WindowFull
from actor_server.pyramid import ChunkCondition, FlyingChunk, Pyramid
from actor_server.sampler_pass import PassInputs, compute_pass

MASKS_KEPT: Final = 64
Noise = Callable[[int, int, tuple[int, ...]], Tensor]


class NoRowFree(RuntimeError):
    """More streams were opened than the sampler has rows."""


def named_noise(seed: int, chunk: int, shape: tuple[int, ...]) -> Tensor:
    """Unit normal noise that depends on nothing but its name: rollback finds it again."""
    words = np.random.Philox(key=np.array([seed & (2**64 - 1), chunk], np.uint64))
    return torch.from_numpy(np.random.Generator(words).standard_normal(shape))


class SamplerStream:
    """One session's stream; made by `PyramidSampler.open`. Chunks count from 0."""

    def __init__(self, sampler: "PyramidSampler", row: int, seed: int) -> None:
        self._sampler = sampler
        self.row, self.seed = row, seed
        self.pyramid = Pyramid(sampler.steps, sampler.window)

    @property
    def made(self) -> int:
        """Chunks that became clean."""
        return self.pyramid.made

    @property
    def in_flight(self) -> int:
        """Conditions offered whose chunks are not clean."""
        return self.pyramid.offered

    def offer(self, conditions: Conditions) -> None:
        """Add the next chunk's condition, (1, 1). Raises WindowFull."""
        if self.pyramid.offered >= self.pyramid.window:
            raise WindowFull(f"{self.pyramid.window} chunks are in flight: run a pass first")
        self.pyramid.waiting.append(self._sampler.chunk_condition(conditions))

    def rebind(self, chunk: int, conditions: Conditions) -> bool:
        """Late binding: give `chunk` another condition if it is still very noisy; was it?"""
        return self.pyramid.rebind(chunk, self._sampler.chunk_condition(conditions))

    def flush(self, keep: int = 0) -> int:
        """Drop the chunks in flight, keep the clean context; how many were dropped.

        The conditions of the last `keep` chunks stay offered and begin again from noise.
        """
        return self.pyramid.flush(keep)

    def rollback(self, to_chunk: int) -> None:
        """Forget everything after chunk `to_chunk`, or NEVER_SHOWN. Raises ChunkForgotten."""
        keep, cache_ = to_chunk + 1, self._sampler.cache
        if not NEVER_SHOWN <= to_chunk < self.made:
            raise ChunkForgotten(f"chunk {to_chunk} is not among the {self.made} made")
        try:
            if keep < cache_.length(self.row):
                cache_.truncate(self.row, keep)
        except ContextLost as lost:
            raise ChunkForgotten(f"chunk {to_chunk} of {self.made} is too old: {lost}") from lost
        self.pyramid.rollback(keep)

    def close(self) -> None:
        """Give the row back; the stream must not be used any more."""
        self._sampler.release(self)


class PyramidSampler:
    """N steps of DDIM over at most `window` chunks in flight, for up to `rows` sessions.

    `rules` are the sight that the model was trained with. `padded` passes always compute
    `window` + 1 chunks a row, so that their shapes are the same whatever is in flight. `graphs`:
    passes go through buffers that never move, which `capture` records on a GPU; `compiler` is the
    back end of torch.compile that makes them. Not thread-safe.
    """

    def __init__(
        self,
        model: VideoTransformer,
        steps: int,
        window: int,
        rows: int,
        *,
        rules: SightRules = FULL_SIGHT,
        noise: Noise = named_noise,
        padded: bool = False,
        graphs: bool = False,
        compiler: str | None = None,
    ) -> None:
        self.model, self.steps, self.window, self.padded = model, steps, window, padded
        self.cache = RingCache(model, rows, window)
        self._free = list(range(rows))
        self._rules, self._noise = rules, noise
        self._shape = (model.geometry.tokens, model.geometry.latent_dim)
        self._dtype = torch.promote_types(model.dtype, torch.float32)
        with torch.inference_mode():
            self._rotation = model.chunk_rotation(torch.arange(window + 1))
            self._time_rotation = model.time_rotation()
            self._tokens = torch.arange(model.geometry.tokens, device=model.device)
            levels = torch.arange(steps + 1, dtype=torch.float64) / steps
            self._levels = model.embed_levels(levels.to(model.device))  # (N + 1, C)
        self.graphs = PassGraphs(model, self.cache, rows, compiler) if graphs else None
        self._mask = lru_cache(MASKS_KEPT)(self._build_mask)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(slots, lead) of the passes that can happen; more streams only add rows."""
        if self.padded:
            return [(self.window + 1, 1)]
        return [(lead + flying, lead) for flying in range(1, self.window + 1) for lead in (0, 1)]

    def capture(self) -> None:
        """Record each pass that can happen, before other threads use the GPU."""
        if self.graphs is not None:
            rows = self.graphs.batches
            self.graphs.capture(PassShape(b, *shape) for b in rows for shape in self.shapes)

    @torch.inference_mode()
    def open(self, reference: Tensor, seed: int) -> SamplerStream:
        """Begin a stream at the normalised portrait (R, D). Raises NoRowFree."""
        if not self._free:
            raise NoRowFree("all rows of the sampler are taken: close a stream first")
        row = self._free.pop(0)
        self.cache.open(row, self.model.encode_reference(reference[None].to(self.model.device)))
        return SamplerStream(self, row, seed)

    def release(self, stream: SamplerStream) -> None:
        """Called by `SamplerStream.close`."""
        self._free = sorted({*self._free, stream.row})

    @torch.inference_mode()
    def chunk_condition(self, conditions: Conditions) -> ChunkCondition:
        """What one chunk's condition, (1, 1), tells its tokens."""
        slots = self.model.condition_slots(conditions.to(self.model.device))
        keys, values = (torch.stack(parts)[:, 0, 0] for parts in zip(*slots.layers, strict=True))
        return ChunkCondition(KeyValues(keys, values), slots.seen[0, 0], slots.moments[0, 0])

    @torch.inference_mode()
    def run_pass(self, streams: Sequence[SamplerStream]) -> list[Tensor | None]:
        """One pass: each stream's oldest chunk (T, D), normalised, if it has become clean.

        A stream with nothing in flight takes no part and answers None.
        """
        for stream in streams:
            if (index := stream.pyramid.entry) is not None:
                noise = self._noise(stream.seed, index, self._shape)
                stream.pyramid.enter(noise.to(self.model.device, self._dtype))
        active = sorted((s for s in streams if s.pyramid.flying), key=lambda s: s.row)
        if active:
            self._compute(active)
        emitted = [stream.pyramid.emit() for stream in streams]
        return [None if chunk is None else chunk.latents.clone() for chunk in emitted]

    def _compute(self, streams: list[SamplerStream]) -> None:
        lead = int(self.padded or any(stream.pyramid.pending for stream in streams))
        inputs = self._inputs(streams, lead)
        rows = [stream.row for stream in streams]
        if self.graphs is None:
            extend = self.cache.extend_rows(rows)
            made = compute_pass(self.model, inputs, extend, self._time_rotation, lead)
        else:
            made = self.graphs.run(rows, inputs, lead)
        for place, stream in enumerate(streams):
            self._commit(stream, made.lead, place)
            for slot, chunk in enumerate(stream.pyramid.flying, start=lead):
                chunk.latents = made.latents[place, slot]
                chunk.steps_left = max(0, chunk.steps_left - stream.pyramid.levels)

    def _inputs(self, streams: list[SamplerStream], lead: int) -> PassInputs:
        flying = (len(stream.pyramid.flying) for stream in streams)
        slots = lead + (self.window if self.padded else max(flying))
        rows = [self._row(stream, lead, slots) for stream in streams]
        chunks = [_in_slots(stream, row) for stream, row in zip(streams, rows, strict=True)]
        latents = torch.stack([torch.stack([chunk.latents for chunk in row]) for row in chunks])
        left = self._there([[chunk.steps_left for chunk in row] for row in chunks])
        taken = self._there([[stream.pyramid.levels] for stream in streams])
        fewer = (left - taken).clamp(min=0)
        rotation = self._rotate_rows(rows)
        keys, values, seen = _conditions(chunks)
        moments = torch.stack([torch.stack([c.condition.moments for c in row]) for row in chunks])
        return PassInputs(
            latents=latents,
            told=self._levels[left].unsqueeze(-2) + moments,
            level=(left.to(latents) / self.steps)[..., None, None],
            lower=(fewer.to(latents) / self.steps)[..., None, None],
            cos=rotation.cos,
            sin=rotation.sin,
            mask=torch.cat([self._mask(row) for row in rows]),
            seen=seen,
            keys=keys,
            values=values,
        )

    def _row(self, stream: SamplerStream, lead: int, slots: int) -> PassRow:
        """Long streams share one mask: what is beyond the context does not matter."""
        committed = min(self.cache.length(stream.row), self.model.geometry.context_chunks)
        pyramid = stream.pyramid
        return PassRow(committed, pyramid.pending is not None, len(pyramid.flying), lead, slots)

    def _commit(self, stream: SamplerStream, lead: KeyValues | None, place: int) -> None:
        """The pending chunk was in slot 0."""
        if lead is None or stream.pyramid.pending is None:
            return
        self.cache.commit(stream.row, KeyValues(lead.keys[:, place], lead.values[:, place]))
        stream.pyramid.pending = None

    def _rotate_rows(self, rows: list[PassRow]) -> Rotation:
        """Position 0 is the first chunk that is not in the cache, pending or in flight."""
        tokens = self.model.geometry.tokens
        shifts = [row.lead - row.pending for row in rows]
        places = self._there(
            [[max(0, slot - shift) for slot in range(rows[0].slots)] for shift in shifts]
        )
        index = (places[..., None] * tokens + self._tokens).flatten(1)
        return Rotation(*(part[0][index].unsqueeze(1) for part in self._rotation))

    def _there(self, numbers: list[list[int]]) -> Tensor:
        """On the model's device, which is not waited for."""
        return torch.tensor(numbers).to(self.model.device, non_blocking=True)

    def _build_mask(self, row: PassRow) -> Tensor:
        """(1, 1, slots * T, keys), added to the logits."""
        mask = pass_mask(row, self.model.geometry, self._rules)
        return additive(mask.to(self.model.device), self.model.dtype)[None, None]


def _in_slots(stream: SamplerStream, row: PassRow) -> list[FlyingChunk]:
    """What the slots of a pass hold; empty ones repeat a chunk that nobody looks at there."""
    pyramid = stream.pyramid
    first = pyramid.pending or pyramid.flying[0]
    chunks = [first] * row.lead + pyramid.flying
    return chunks + [chunks[-1]] * (row.slots - len(chunks))


def _conditions(chunks: list[list[FlyingChunk]]) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-attention of a pass's slots: keys, values (L, B, S, G, M, E), seen (B, S, M)."""
    flat = [chunk.condition for row in chunks for chunk in row]
    lead = (len(chunks), len(chunks[0]))
    keys, values = (
        torch.stack([getattr(one.slots, name) for one in flat], dim=1)
        for name in ("keys", "values")
    )
    seen = torch.stack([one.seen for one in flat])
    shape = (len(keys), *lead, *keys.shape[2:])
    return keys.reshape(shape), values.reshape(shape), seen.reshape(*lead, -1)
