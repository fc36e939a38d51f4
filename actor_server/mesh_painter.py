"""One call's frames: a chunk's motion latents in, eight I420 pictures out."""

from typing import Final, Protocol

import numpy as np

from actor_server.codec.mesh.latent import LATENT_STD
from actor_server.face import Drawn, Picture
from actor_server.motion.source import Floats
from actor_server.saving import Saving
from proto.time_law import CHUNK_FRAMES, FRAME_WIDTH, I420_ROWS

FULL_MOTION: Final = 0.25
"""Mean change per frame, in standard deviations, that counts as motion level 1."""


class FrameDecoder(Protocol):
    """Draws single frames."""

    def render(self, latent: Floats, out: Picture) -> Picture:
        """Draw a motion latent (31,) into an I420 frame (384, 256)."""


class MeshPainter:
    """Draws each frame by itself; one that is like the frame before it is not drawn again."""

    def __init__(self, decoder: FrameDecoder) -> None:
        self._decoder = decoder
        self._half_rate = False
        self._latent: Floats | None = None
        self._frame = np.empty((I420_ROWS, FRAME_WIDTH), np.uint8)

    def draw(self, latents: Floats) -> Drawn:
        """The frames of a chunk's latents (C, 31)."""
        level = motion_level(latents)
        if self._half_rate:
            latents = np.repeat(latents[::2], 2, axis=0)
        frames = np.empty((CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH), np.uint8)
        for frame, latent in zip(frames, latents, strict=True):
            if self._latent is not None and np.array_equal(latent, self._latent):
                frame[:] = self._frame
            else:
                self._decoder.render(latent, frame)
            self._latent, self._frame = latent, frame
        self._frame = self._frame.copy()  # the chunk is not ours any more
        return Drawn(frames, level)

    def rollback(self, chunk: int) -> None:
        """No frame depends on another."""

    def ease(self, saving: Saving) -> None:
        """From HALF_RATE on every second frame is drawn and shown twice."""
        self._half_rate = saving >= Saving.HALF_RATE


def motion_level(latents: Floats) -> float:
    """How much the face moves in a chunk's latents (C, 31): 0 still, 1 lively speech."""
    change = np.abs(np.diff(latents, axis=0) / LATENT_STD).mean()
    return float(min(1.0, change / FULL_MOTION))
