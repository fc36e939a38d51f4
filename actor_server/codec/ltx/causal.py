"""Decode with the past only: every convolution remembers the last two frames that it saw.

Equals the causal decoder on the whole call so far; a chunk costs the same at any age of the call.
Meant for a decoder that was tuned for it (`actor_server.training.ltx_decoder`): released ones see
the future too.
"""

from collections import deque

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    LTXVideoCausalConv3d,
    LTXVideoDecoder3d,
)
from torch import Tensor

from actor_server.codec.ltx.layers import walk
from actor_server.codec.ltx.streaming import HISTORY_CHUNKS, PictureForgotten

Memory = tuple[Tensor, ...]
"""The last frames (B, C, 2, H, W) that each convolution saw, in the order of the walk."""


class PastOnly:
    """A TimeRule: frames go on from those of the walk before, or stand still before the first."""

    def __init__(self, before: Memory | None) -> None:
        self._begins = before is None
        self._before = iter(before or ())
        self._seen: list[Tensor] = []

    @property
    def memory(self) -> Memory:
        """What the next walk goes on from; never written to, so it can be kept and returned to."""
        return tuple(self._seen)

    def convolve(self, layer: LTXVideoCausalConv3d, x: Tensor) -> Tensor:
        """Its kernel ends at the frame it makes."""
        behind = layer.kernel_size[0] - 1
        if behind:
            first = x[:, :, :1].expand(-1, -1, behind, -1, -1)
            x = torch.cat([first if self._begins else next(self._before), x], dim=2)
            self._seen.append(x[:, :, -behind:].detach().clone())  # a view would keep all of x
        made: Tensor = layer.conv(x)
        return made

    def enlarged(self, x: Tensor, factor: int) -> Tensor:
        """A call's first frame is a single one."""
        return x[:, :, factor - 1 :] if self._begins else x


class CausalDecoder:
    """A ChunkDecoder without latency. `rollback` takes back references, nothing is copied."""

    latency_chunks = 0

    def __init__(
        self, decoder: LTXVideoDecoder3d, reference: Tensor, history: int = HISTORY_CHUNKS
    ) -> None:
        """Begin behind a reference latent (1, D, 1, h, w)."""
        self._decoder = decoder
        self._memories: deque[Memory] = deque(maxlen=history + 1)
        self._pushed = 0
        self._go_on(reference, None)  # the reference's own frame is not shown

    @property
    def memory_bytes(self) -> int:
        """Of one chunk's memory; `history` + 1 are kept."""
        return sum(part.nbytes for part in self._memories[-1])

    def push(self, latent: Tensor) -> Tensor:
        """Frames (1, 3, 8, H, W) of the next chunk (1, D, 1, h, w)."""
        frames = self._go_on(latent, self._memories[-1])
        self._pushed += 1
        return frames

    def rollback(self, chunk: int) -> None:
        """Forget everything after `chunk`, or all with -1. Raises PictureForgotten."""
        back = self._pushed - (chunk + 1)
        if not 0 <= back < len(self._memories):
            raise PictureForgotten(
                f"chunk {chunk} of {self._pushed} is not among the last {len(self._memories)}"
            )
        for _ in range(back):
            self._memories.pop()
        self._pushed -= back

    @torch.inference_mode()
    def _go_on(self, latent: Tensor, before: Memory | None) -> Tensor:
        time = PastOnly(before)
        frames = walk(self._decoder, latent, time)
        self._memories.append(time.memory)
        return frames
