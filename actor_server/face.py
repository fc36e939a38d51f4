"""What the engine and the portrait desk ask of a codec.

Shapes: C = CHUNK_FRAMES frames of I420, (384, 256) uint8 each.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.source import Floats
from proto.portrait_code import PortraitCode
from proto.time_law import CHUNK_FRAMES, FRAME_WIDTH, I420_ROWS

Picture = NDArray[np.uint8]


class FaceDecoder(Protocol):
    """Draws one call's frames; owns scratch memory, so one for each session."""

    def render(self, latent: Floats, out: Picture) -> Picture:
        """Draw a motion latent (31,) into an I420 frame (384, 256)."""


class Face(Protocol):
    """A portrait made ready; shared by its calls, never written to."""

    def decoder(self) -> FaceDecoder:
        """A decoder for one more call."""


class Verdict(Protocol):
    """What an intake says about one image."""

    @property
    def code(self) -> PortraitCode: ...

    @property
    def hint(self) -> str: ...

    @property
    def checks(self) -> dict[str, float]: ...

    def crop_png(self) -> bytes | None:
        """The crop that will be animated, as a PNG file, when the code is ok."""


class FaceStudio(Protocol):
    """Turns image files into faces; slow, so never called where chunks are made."""

    @property
    def label(self) -> str:
        """A short name for people: what draws the face."""

    def check(self, image: bytes) -> Verdict:
        """May this image become an avatar? Never raises for what is in it."""

    def build(self, image: bytes) -> Face:
        """The face of an image file. Raises errors.PortraitRefused."""

    def warm_up(self) -> None:
        """Compile and load everything, so that no call waits for it."""


class Painter:
    """Draws a call's chunks; a frame like the one before it is not drawn again."""

    def __init__(self, decoder: FaceDecoder) -> None:
        self._decoder = decoder
        self._latent: Floats | None = None
        self._frame = np.empty((I420_ROWS, FRAME_WIDTH), np.uint8)

    def draw(self, latents: Floats) -> Picture:
        """Frames (C, 384, 256) of a chunk's latents (C, 31)."""
        frames = np.empty((CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH), np.uint8)
        for frame, latent in zip(frames, latents, strict=True):
            if self._latent is not None and np.array_equal(latent, self._latent):
                frame[:] = self._frame
            else:
                self._decoder.render(latent, frame)
            self._latent, self._frame = latent, frame
        self._frame = self._frame.copy()  # the chunk is not ours any more
        return frames
