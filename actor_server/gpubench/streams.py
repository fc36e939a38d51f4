"""Whole streams: conditions in, drawn frames out, as a call has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch

from actor_server.codec.ltx.codec import LtxCodec
from actor_server.codec.ltx.painter import LtxPainter
from actor_server.evaluation.float8 import noise_conditions
from actor_server.gpubench.clock import Clock
from actor_server.graphs import PassShape
from actor_server.model.layers import KeyValues
from actor_server.model.video_transformer import VideoTransformer
from actor_server.sampler import PyramidSampler
from proto.time_law import CHUNK_US

CHUNK_MS = CHUNK_US / 1000
CHUNKS_PER_MINUTE = 60_000 / CHUNK_MS


@dataclass(frozen=True)
class StreamFigures:
    """N steps with W chunks in flight, for so many sessions in one pass.

    passes_ms: condition and passes of a chunk of every session; drawing_ms: decoding and
    conversion to I420 on the host, one session after the other. first_frame_ms: after an
    interruption of all sessions, from the conditions offered to their first chunks drawn.
    """

    steps: int
    window: int
    sessions: int
    passes_per_chunk: int
    passes_ms: float
    drawing_ms: float
    first_frame_ms: float

    @property
    def chunk_ms(self) -> float:
        """A chunk of every session."""
        return self.passes_ms + self.drawing_ms

    @property
    def holds(self) -> bool:
        """Whether each session has its 25 frames a second."""
        return self.chunk_ms <= CHUNK_MS

    @property
    def s_per_minute(self) -> float:
        """Seconds for a minute of every session."""
        return self.chunk_ms * CHUNKS_PER_MINUTE / 1000


class Streams:
    """Sessions in step that never lack a condition."""

    def __init__(self, sampler: PyramidSampler, codec: LtxCodec, sessions: int) -> None:
        geometry, dice = sampler.model.geometry, torch.Generator().manual_seed(0)
        reference = torch.randn(geometry.reference_tokens, geometry.latent_dim, generator=dice)
        self._sampler = sampler
        self._condition = noise_conditions(geometry, 1, dice)
        self._streams = [sampler.open(reference, seed) for seed in range(sessions)]
        self._painters: list[LtxPainter] = [
            codec.open(reference, "causal") for _ in range(sessions)
        ]
        self._chunks: Sequence[torch.Tensor] = ()
        self._fill_context()

    def _fill_context(self) -> None:
        """With noise: a pass looks at as much, and its masks are the same, from now on."""
        cache, geometry = self._sampler.cache, self._sampler.model.geometry
        for stream in self._streams:
            for _ in range(geometry.context_chunks):
                cache.commit(
                    stream.row,
                    KeyValues(*(torch.randn_like(kept[:, 0, :, 0]) for kept in cache.ring)),
                )

    def next_chunk(self) -> None:
        """Passes until every session has one."""
        while True:
            for stream in self._streams:
                while stream.in_flight < self._sampler.window:
                    stream.offer(self._condition)
            made = [chunk for chunk in self._sampler.run_pass(self._streams) if chunk is not None]
            if made:
                self._chunks = made
                return

    def draw(self) -> None:
        """The chunks made last."""
        for painter, chunk in zip(self._painters, self._chunks, strict=True):
            painter.draw(chunk)

    def first_frame(self) -> None:
        """What is in flight is dropped; begin again."""
        for stream in self._streams:
            stream.flush()
        self.next_chunk()
        self.draw()


def recorded(
    model: VideoTransformer,
    steps: int,
    window: int,
    sessions: int,
    *,
    padded: bool = False,
    compiler: str | None = None,
) -> PyramidSampler:
    """A sampler whose passes of all sessions are recorded, where there is a GPU."""
    sampler = PyramidSampler(
        model, steps, window, sessions, padded=padded, graphs=True, compiler=compiler
    )
    assert sampler.graphs is not None
    sampler.graphs.capture(PassShape(sessions, *shape) for shape in sampler.shapes)
    return sampler


def stream_figures(
    sampler: PyramidSampler, codec: LtxCodec, sessions: int, clock: Clock, chunks: int
) -> StreamFigures:
    """Medians of so many chunks of `sessions` that fill the sampler."""
    streams = Streams(sampler, codec, sessions)
    streams.first_frame()
    passes_ms, drawing_ms = [], []
    for _ in range(chunks + 1):
        passes_ms.append(clock.ms(streams.next_chunk))
        drawing_ms.append(clock.ms(streams.draw))
    first_ms = [clock.ms(streams.first_frame) for _ in range(chunks)]
    return StreamFigures(
        steps=sampler.steps,
        window=sampler.window,
        sessions=sessions,
        passes_per_chunk=-(-sampler.steps // sampler.window),
        passes_ms=median(passes_ms[1:]),
        drawing_ms=median(drawing_ms[1:]),
        first_frame_ms=median(first_ms),
    )
