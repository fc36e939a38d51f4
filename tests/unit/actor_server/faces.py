"""Faces without a codec: they remember what they were asked to draw."""

from dataclasses import dataclass, field

import numpy as np

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.errors import PortraitRefused
from actor_server.face import Face, Painter, Picture
from actor_server.mesh_painter import MeshPainter
from actor_server.motion.source import CHUNK_LATENTS, Floats
from actor_server.saving import Saving
from proto.portrait_code import PortraitCode


@dataclass
class SketchFace:
    """Draws every frame in one shade; fails on demand."""

    shade: int = 0
    drawn: list[Floats] = field(default_factory=list)
    broken: bool = False

    reference: Floats = field(default_factory=portrait_latent)

    def painter(self) -> Painter:
        return MeshPainter(self)

    def render(self, latent: Floats, out: Picture) -> Picture:
        if self.broken:
            raise ZeroDivisionError("a decoder that fails")
        self.drawn.append(latent.copy())
        out.fill(self.shade)
        return out


@dataclass(frozen=True)
class SketchVerdict:
    code: PortraitCode
    hint: str = ""
    checks: dict[str, float] = field(default_factory=dict)

    crop: bytes | None = None

    def crop_png(self) -> bytes | None:
        return self.crop


@dataclass
class SketchStudio:
    """Images are text: `face N`, `broken` or anything else, which is refused."""

    label: str = "sketch"
    savings: tuple[Saving, ...] = (Saving.HALF_RATE,)
    chunk_shape: tuple[int, int] = CHUNK_LATENTS
    built: int = 0

    def check(self, image: bytes) -> SketchVerdict:
        if image.startswith((b"face", b"broken")):
            return SketchVerdict("ok", crop=image)
        if image == b"crash":
            raise OSError("a studio that fails")
        return SketchVerdict("no_face", "Use a picture with a face.")

    def build(self, image: bytes) -> Face:
        verdict = self.check(image)
        if verdict.code != "ok":
            raise PortraitRefused(verdict.code, verdict.hint)
        self.built += 1
        shade = int(image.split()[1]) if image.startswith(b"face") else 0
        return SketchFace(shade, broken=image.startswith(b"broken"))

    def warm_up(self) -> None:
        """Nothing to compile."""

    def close(self) -> None:
        """Nothing to free."""


def image(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
