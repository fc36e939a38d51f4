"""One call's frames: a chunk's tokens in, eight I420 pictures out."""

import cv2
import numpy as np
import torch
from torch import Tensor

from actor_server.codec.ltx.latents import LatentSpace, Picture, pictures_of
from actor_server.codec.ltx.streaming import ChunkDecoder
from proto.time_law import CHUNK_FRAMES


class LtxPainter:
    """Draws a call's chunks in order, `latency_chunks` behind what it is given. Not thread-safe."""

    def __init__(self, decoder: ChunkDecoder, space: LatentSpace, dtype: torch.dtype) -> None:
        self._decoder, self._space, self._dtype = decoder, space, dtype

    @property
    def latency_chunks(self) -> int:
        """How many chunks must follow one before it can be drawn."""
        return self._decoder.latency_chunks

    def draw(self, tokens: Tensor) -> Picture | None:
        """Add a chunk's normalised tokens (T, D); frames (8, 3 H / 2, W) of the next to be shown.

        None while a chunk that must follow it is not there. Raises ValueError.
        """
        if tuple(tokens.shape) != self._space.token_shape:
            raise ValueError(
                f"a chunk of tokens {tuple(tokens.shape)}, this autoencoder's has "
                f"{self._space.token_shape}"
            )
        latent = self._space.latents(tokens[None].to(self._space.mean.device))
        frames = self._decoder.push(latent.to(self._dtype))
        return None if frames is None else i420_of(pictures_of(frames))

    def rollback(self, chunk: int) -> None:
        """Go on after `chunk`, the last one shown, or begin again after -1.

        Raises streaming.PictureForgotten.
        """
        self._decoder.rollback(chunk)


def i420_of(pictures: Picture) -> Picture:
    """A chunk's frames (8, 3 H / 2, W), I420 (BT.601), of RGB (8, H, W, 3). Raises ValueError."""
    if pictures.ndim != 4 or pictures.shape[::3] != (CHUNK_FRAMES, 3):
        raise ValueError(f"pictures are {pictures.shape}, a chunk has ({CHUNK_FRAMES}, H, W, 3)")
    _, height, width, _ = pictures.shape
    frames = np.empty((CHUNK_FRAMES, height * 3 // 2, width), np.uint8)
    for frame, picture in zip(frames, pictures, strict=True):
        cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420, dst=frame)
    return frames
