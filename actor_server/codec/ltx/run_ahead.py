"""Decode with the future too: a chunk is drawn when R more have come, as released decoders want.

The decoder runs over a window of the chunk's neighbours, and at each rate only over the frames
that the chunk's own depend on. With `left` latents before the chunk (all that reach it, by default)
and all that reach it behind it, its frames are those of the whole clip; with less, nearly.
"""

from collections import deque

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    LTXVideoCausalConv3d,
    LTXVideoDecoder3d,
)
from torch import Tensor

from actor_server.codec.ltx.layers import reaches, walk
from actor_server.codec.ltx.streaming import HISTORY_CHUNKS, PictureForgotten


class BothSides:
    """A TimeRule for one chunk in a window of latents; frames beyond the window stand still.

    place: the chunk's latent in the window, not the first: that one is a single frame. Frame j of
    one rate becomes 2j - 1 and 2j of the next, and 0 stays 0.
    """

    def __init__(self, reaches: list[int], place: int) -> None:
        self._reaches, self._place = reaches, place
        self._stage, self._rate = 0, 1
        self._first = 0
        """Number of the first frame at hand."""

    def convolve(self, layer: LTXVideoCausalConv3d, x: Tensor) -> Tensor:
        """Its kernel is centred on the frame it makes."""
        side = layer.kernel_size[0] // 2
        if side:
            ends = (x[:, :, :1], x[:, :, -1:])
            before, after = (end.expand(-1, -1, side, -1, -1) for end in ends)
            x = torch.cat([before, x, after], dim=2)
        made: Tensor = layer.conv(x)
        return made

    def enlarged(self, x: Tensor, factor: int) -> Tensor:
        """Only what the chunk's frames depend on goes on."""
        if self._first == 0:
            x = x[:, :, factor - 1 :]
        else:
            self._first = factor * (self._first - 1) + 1
        self._stage += 1
        self._rate *= factor
        return self._around(x, self._reaches[self._stage])

    def chosen(self, frames: Tensor) -> Tensor:
        """The chunk's own frames, after the walk."""
        return self._around(frames, 0)

    def _around(self, x: Tensor, reach: int) -> Tensor:
        """The chunk's frames and `reach` more on each side, as far as there are any."""
        begin = max(self._rate * (self._place - 1) + 1 - reach - self._first, 0)
        end = self._rate * self._place + 1 + reach - self._first
        self._first += begin
        return x[:, :, begin:end]


@torch.inference_mode()
def decode_in_window(decoder: LTXVideoDecoder3d, latents: Tensor, place: int) -> Tensor:
    """Frames (1, 3, 8, H, W) of latent `place` of (1, D, K, h, w), all of which it may see."""
    time = BothSides(reaches(decoder), place)
    return time.chosen(walk(decoder, latents, time))


class RunAheadDecoder:
    """A ChunkDecoder with R = `right` chunks of latency. `rollback` waits for R chunks again."""

    def __init__(
        self,
        decoder: LTXVideoDecoder3d,
        reference: Tensor,
        right: int,
        left: int | None = None,
        history: int = HISTORY_CHUNKS,
    ) -> None:
        """Begin behind a reference latent (1, D, 1, h, w)."""
        self._left = reaches(decoder)[0] if left is None else left
        if right < 0 or self._left < 1:
            raise ValueError(
                f"a window of {self._left} latents before a chunk and {right} behind it: "
                "give at least 1 and 0"
            )
        self._decoder, self.latency_chunks = decoder, right
        self._latents: deque[Tensor] = deque([reference], maxlen=self._left + right + history + 1)
        self._pushed = self._drawn = 0

    def push(self, latent: Tensor) -> Tensor | None:
        """Add chunk (1, D, 1, h, w); frames (1, 3, 8, H, W) of the one R before, if not drawn."""
        self._latents.append(latent)
        self._pushed += 1
        if self._pushed - self._drawn <= self.latency_chunks:
            return None
        self._drawn += 1
        behind = self._pushed - self._drawn
        before = min(self._left, len(self._latents) - 1 - behind)
        window = list(self._latents)[-(before + 1 + behind) :]
        return decode_in_window(self._decoder, torch.cat(window, dim=2), before)

    def rollback(self, chunk: int) -> None:
        """Forget everything after `chunk`, or all with -1. Raises PictureForgotten."""
        back = self._pushed - (chunk + 1)
        needed = min(self._left, chunk + 2)  # of the next chunk, the reference included
        if back < 0 or len(self._latents) - back < needed:
            raise PictureForgotten(f"chunk {chunk} of {self._pushed} is not among the last ones")
        for _ in range(back):
            self._latents.pop()
        self._pushed -= back
        self._drawn = min(self._drawn, self._pushed)
