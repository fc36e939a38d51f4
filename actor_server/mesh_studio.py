"""The mesh codec as a FaceStudio: portraits judged, prepared and built. Not thread-safe."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.decoder import MeshDecoder, warm_up
from actor_server.codec.mesh.latent import portrait_latent
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import CROP_SIZE, PreparedPortrait
from actor_server.errors import PortraitRefused
from actor_server.face import Face, Painter
from actor_server.mesh_painter import MeshPainter
from actor_server.motion.source import CHUNK_LATENTS, Floats
from actor_server.portrait.intake import PortraitIntake
from actor_server.portrait.verdict import PortraitVerdict
from actor_server.saving import Saving


@dataclass(frozen=True)
class MeshFace:
    """One portrait, ready to be drawn."""

    portrait: MeshPortrait

    @property
    def reference(self) -> Floats:
        """Motion is relative to the portrait, so all portraits begin alike, (LATENT_DIM,)."""
        return portrait_latent()

    def painter(self) -> Painter:
        """A painter for one more call."""
        return MeshPainter(MeshDecoder(self.portrait))


class MeshStudio:
    """Owns the landmarker and its companions. Raises FileNotFoundError when a model is missing."""

    label = "mesh"
    savings = (Saving.HALF_RATE,)
    chunk_shape = CHUNK_LATENTS

    def __init__(self, assets: Path) -> None:
        self._intake = PortraitIntake.from_assets(assets)

    def check(self, image: bytes) -> PortraitVerdict:
        """Judge an image file."""
        return self._intake.check(image)

    def build(self, image: bytes) -> Face:
        """The face of an image file. Raises PortraitRefused."""
        verdict = self._intake.check(image)
        if verdict.portrait is None:
            raise PortraitRefused(verdict.code, verdict.hint)
        return MeshFace(MeshPortrait.build(verdict.portrait))

    def warm_up(self) -> None:
        """Run the codec once on the canonical face before any caller comes."""
        warm_up(MeshPortrait.build(_nobody()))

    def close(self) -> None:
        """Free the models; mediapipe's own threads end here."""
        self._intake.close()


def _nobody() -> PreparedPortrait:
    """The canonical face in the middle of a grey picture."""
    points = canonical_face().vertices.astype(np.float64)
    span = float(np.ptp(points[:, 1]))
    centred = (points - points.mean(0)) * (0.45 * CROP_SIZE / span)
    landmarks = centred + np.array([CROP_SIZE / 2, 0.46 * CROP_SIZE, 0.0])
    return PreparedPortrait(
        image=np.full((CROP_SIZE, CROP_SIZE, 3), 128, np.uint8),
        landmarks=landmarks,
        person=np.ones((CROP_SIZE, CROP_SIZE), np.float32),
    )
