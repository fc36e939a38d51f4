"""The video transformer as a motion source: conditions in, denoised motion latents out.

All its streams share one model and one sampler, whose cache has a row for each of them.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
import torch

from actor_server.model.conditioner import Conditions
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import condition_arrays
from actor_server.motion.source import Condition, Floats, Visibility
from actor_server.sampler import PyramidSampler, SamplerStream
from actor_server.saving import Saving


class DiffusionStream:
    """A MotionStream with up to W chunks in flight, N passes each."""

    def __init__(self, motion: "DiffusionMotion", stream: SamplerStream) -> None:
        self._motion = motion
        self._stream = stream
        self._epochs: deque[int] = deque()
        """Of the conditions in flight."""

    @property
    def window(self) -> int:
        """W."""
        return self._motion.sampler.window

    def offer(self, condition: Condition) -> None:
        """Add the next chunk's condition. Raises WindowFull."""
        arrays = condition_arrays(condition, self._motion.sight)
        self._stream.offer(Conditions.stack([[arrays]]))
        self._epochs.append(condition.epoch)

    def next_chunk(self) -> Floats | None:
        """One pass over what is in flight; the oldest chunk once it is clean."""
        (made,) = self._motion.sampler.run_pass([self._stream])
        if made is None:
            return None
        self._epochs.popleft()
        return self._motion.latents(made)

    def flush(self, epoch: int) -> int:
        """Drop what is in flight and older than `epoch`; what is not begins again from noise."""
        older = sum(offered < epoch for offered in self._epochs)
        if older:
            self._stream.flush(keep=len(self._epochs) - older)
        for _ in range(older):
            self._epochs.popleft()
        return older

    def rollback(self, to_chunk: int) -> None:
        """Back to the context as it was after chunk `to_chunk`. Raises ChunkForgotten."""
        self._stream.rollback(to_chunk)
        self._epochs.clear()

    def ease(self, saving: Saving) -> None:
        """Half of the passes, each over two levels of noise, also for the chunk at hand."""
        halved = saving >= Saving.FEWER_PASSES and Saving.FEWER_PASSES in self._motion.savings
        self._stream.pyramid.levels = 2 if halved else 1

    def close(self) -> None:
        """Give the row of the cache back."""
        self._stream.close()


class DiffusionMotion:
    """The MotionSource of a trained transformer: N `steps`, W chunks in the `window`.

    `limits`: what the codec can draw of a chunk's latents.
    """

    label = "diffusion"

    def __init__(
        self,
        model: VideoTransformer,
        steps: int,
        window: int,
        max_sessions: int,
        limits: Callable[[Floats], Floats] | None = None,
    ) -> None:
        self._limits = limits
        self.sampler = PyramidSampler(model, steps, window, max_sessions)
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
        return DiffusionStream(self, self.sampler.open(normalised, seed))

    def warm_up(self) -> None:
        """Make one chunk, so that no call waits for what torch does only once."""
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
