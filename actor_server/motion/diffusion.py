"""The video transformer as a motion source: conditions in, denoised motion latents out.

All its streams share one model and one sampler, whose cache has a row for each of them.
"""

import copy
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from actor_server.model.conditioner import Conditions
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import ConditionReader
from actor_server.motion.procedural import REMEMBERED_CHUNKS
from actor_server.motion.source import (
    ChunkForgotten,
    Condition,
    Floats,
    Visibility,
    WindowFull,
)
from actor_server.sampler import Noise, PyramidSampler, SamplerStream, named_noise
from actor_server.saving import Saving


class _Offered(NamedTuple):
    """A chunk that was not given out: its epoch, its condition, and who read it, after it."""

    epoch: int
    conditions: Conditions
    reader: ConditionReader


class DiffusionStream:
    """A MotionStream with up to W chunks in flight, N passes each."""

    def __init__(self, motion: "DiffusionMotion", sampled: SamplerStream) -> None:
        self.sampled = sampled
        self._motion = motion
        self._offered: deque[_Offered] = deque()
        self._given = 0
        first = ConditionReader(motion.sight)
        self._readers: deque[ConditionReader] = deque([first], maxlen=REMEMBERED_CHUNKS)
        """After each chunk that was given out."""

    @property
    def window(self) -> int:
        """W."""
        return self._motion.sampler.window

    def offer(self, condition: Condition) -> None:
        """Add the next chunk's condition. Raises WindowFull."""
        if len(self._offered) >= self.window:
            raise WindowFull(f"{self.window} chunks are in flight: run a pass first")
        reader = self._offered[-1].reader if self._offered else self._readers[-1]
        reader = copy.deepcopy(reader)
        conditions = Conditions.stack([[reader.read(condition)]])
        self.sampled.offer(conditions)
        self._offered.append(_Offered(condition.epoch, conditions, reader))

    def next_chunk(self) -> Floats | None:
        """One pass over what is in flight; the oldest chunk once it is clean."""
        made = self._motion.run_pass(self)
        if made is None:
            return None
        self._readers.append(self._offered.popleft().reader)
        self._given += 1
        return self._motion.latents(made)

    def flush(self, epoch: int) -> int:
        """Drop what is in flight and older than `epoch`; what is not begins again from noise."""
        older = sum(offered.epoch < epoch for offered in self._offered)
        for _ in range(older):
            self._offered.popleft()
        if older and self._motion.forget_ahead(self):
            self.sampled.rollback(self.sampled.made - 2)  # nobody saw that chunk
            for offered in self._offered:
                self.sampled.offer(offered.conditions)
        elif older:
            self.sampled.flush(keep=len(self._offered))
        return older

    def rollback(self, to_chunk: int) -> None:
        """Back to the context as it was after chunk `to_chunk`. Raises ChunkForgotten."""
        if self._motion.made_ahead(self) and to_chunk == self.sampled.made - 1:
            raise ChunkForgotten(f"chunk {to_chunk} was not given out")
        self.sampled.rollback(to_chunk)
        self._motion.forget_ahead(self)
        self._offered.clear()
        for _ in range(self._given - 1 - to_chunk):
            self._readers.pop()
        self._given = to_chunk + 1

    def ease(self, saving: Saving) -> None:
        """Half of the passes, each over two levels of noise, also for the chunk at hand."""
        halved = saving >= Saving.FEWER_PASSES and Saving.FEWER_PASSES in self._motion.savings
        self.sampled.pyramid.levels = 2 if halved else 1

    def close(self) -> None:
        """Give the row of the cache back."""
        self._motion.leave(self)
        self.sampled.close()


class DiffusionMotion:
    """The MotionSource of a trained transformer: N `steps`, W chunks in the `window`.

    `limits`: what the codec can draw of a chunk's latents. `noise`: what chunks begin as.
    `batched`: a pass that one stream asks for is computed for all that have chunks in flight, and
    theirs is kept until they ask for it: a GPU takes little longer for several rows than for one.
    `graphs`: passes have one shape and buffers that never move, which `warm_up` records on a GPU.
    """

    label = "diffusion"

    def __init__(
        self,
        model: VideoTransformer,
        steps: int,
        window: int,
        max_sessions: int,
        limits: Callable[[Floats], Floats] | None = None,
        *,
        noise: Noise = named_noise,
        batched: bool = False,
        graphs: bool = False,
    ) -> None:
        self._limits = limits
        self._batched = batched
        self._streams: list[DiffusionStream] = []
        self._ahead: dict[DiffusionStream, torch.Tensor | None] = {}
        """Outcomes of passes that their streams have not asked for yet, one for each at most."""
        self.sampler = PyramidSampler(
            model, steps, window, max_sessions, noise=noise, padded=graphs, graphs=graphs
        )
        # with more chunks in flight, two would be clean after one pass
        halves = window == 1 and steps % 2 == 0
        self.savings: tuple[Saving, ...] = (Saving.FEWER_PASSES,) if halves else ()
        self._mean: Floats = model.latent_mean.float().cpu().numpy()
        self._std: Floats = model.latent_std.float().cpu().numpy()

    @property
    def sight(self) -> Visibility:
        """What the transformer was trained to see."""
        return self.sampler.model.geometry.sight

    def open(self, reference: Floats, seed: int) -> DiffusionStream:
        """Begin at the portrait (R, D), or (D,) where it is one token.

        Raises ValueError for another codec's latent.
        """
        geometry, tokens = self.sampler.model.geometry, np.atleast_2d(reference)
        if tokens.shape != (geometry.reference_tokens, geometry.latent_dim):
            raise ValueError(
                f"the reference is {reference.shape}, the transformer begins with "
                f"{(geometry.reference_tokens, geometry.latent_dim)}"
            )
        normalised = torch.from_numpy((tokens - self._mean) / self._std)
        stream = DiffusionStream(self, self.sampler.open(normalised, seed))
        self._streams.append(stream)
        return stream

    def run_pass(self, stream: DiffusionStream) -> torch.Tensor | None:
        """The stream's next pass: its oldest chunk (T, D), normalised, if it has become clean."""
        if stream in self._ahead:
            return self._ahead.pop(stream)
        others = [
            other
            for other in self._streams
            if other is not stream and other not in self._ahead and other.sampled.in_flight
        ]
        together = [stream, *others] if self._batched else [stream]
        mine, *theirs = self.sampler.run_pass([one.sampled for one in together])
        self._ahead |= zip(together[1:], theirs, strict=True)
        return mine

    def made_ahead(self, stream: DiffusionStream) -> bool:
        """Whether a chunk of the stream is clean that it has not asked for."""
        return self._ahead.get(stream) is not None

    def forget_ahead(self, stream: DiffusionStream) -> bool:
        """Drop the outcome of a pass that the stream has not asked for; was it a clean chunk?"""
        return self._ahead.pop(stream, None) is not None

    def leave(self, stream: DiffusionStream) -> None:
        """Called by `DiffusionStream.close`."""
        self._streams.remove(stream)
        self._ahead.pop(stream, None)

    def warm_up(self) -> None:
        """Make one chunk, so that no call waits for what torch does only once."""
        self.sampler.capture()
        geometry = self.sampler.model.geometry
        nobody = np.zeros((geometry.reference_tokens, geometry.latent_dim), np.float32)
        stream = self.open(nobody, seed=0)
        stream.offer(Condition("idle", epoch=0))
        while stream.next_chunk() is None:
            pass
        stream.close()

    def latents(self, normalised: torch.Tensor) -> Floats:
        """What the codec draws, (T, D), of the transformer's (T, D)."""
        latents: Floats = normalised.float().cpu().numpy() * self._std + self._mean
        latents = latents.astype(np.float32)
        return latents if self._limits is None else self._limits(latents)
