"""What the engine and the portrait desk ask of a codec.

Shapes: C = CHUNK_FRAMES frames of I420, (384, 256) uint8 each.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.source import Floats
from actor_server.saving import Saving
from proto.portrait_code import PortraitCode

Picture = NDArray[np.uint8]


class Drawn(NamedTuple):
    """A chunk's frames (C, 384, 256), and how much the face moves in it, 0 (still) to 1."""

    frames: Picture
    motion_level: float


class Painter(Protocol):
    """Draws one call's chunks, in order; owns what it remembers of them. Not thread-safe."""

    def draw(self, latents: Floats) -> Drawn | None:
        """Add a chunk's latents; the next chunk to be shown.

        None while that one waits for chunks that follow it.
        """

    def rollback(self, chunk: int) -> None:
        """Go on after `chunk`, the last one shown, or begin again after -1."""

    def ease(self, saving: Saving) -> None:
        """Save so much work from the next chunk on; nothing where there is no way to."""


class Face(Protocol):
    """A portrait made ready; shared by its calls, never written to."""

    @property
    def reference(self) -> Floats:
        """The portrait's own latent, at which the motion begins."""

    def painter(self) -> Painter:
        """A painter for one more call."""


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

    @property
    def savings(self) -> tuple[Saving, ...]:
        """The steps by which its painters can save work."""

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """(T, D) of a chunk's latents, as its painters take them."""

    def check(self, image: bytes) -> Verdict:
        """May this image become an avatar? Never raises for what is in it."""

    def build(self, image: bytes) -> Face:
        """The face of an image file. Raises errors.PortraitRefused."""

    def warm_up(self) -> None:
        """Compile and load everything, so that no call waits for it."""

    def close(self) -> None:
        """Free the models."""
