"""What the engine and the portrait desk ask of a codec.

Shapes: C = CHUNK_FRAMES frames of I420, (384, 256) uint8 each.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.source import Floats
from proto.messages import PortraitCode
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


def draw_chunk(decoder: FaceDecoder, latents: Floats) -> Picture:
    """Frames (C, 384, 256) of a chunk's latents (C, 31)."""
    frames = np.empty((CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH), np.uint8)
    for frame, latent in zip(frames, latents, strict=True):
        decoder.render(latent, frame)
    return frames
