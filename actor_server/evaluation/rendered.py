"""What can be seen: motion drawn on a portrait, and the face that a landmarker finds there.

Shapes: F frames, pictures (256, 256, 3) RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.latent import speech_neutral_latent
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image
from actor_server.evaluation.lip_track import LipTrack
from actor_server.motion.source import Floats
from actor_server.portrait.intake import LANDMARKER_FILE, PortraitIntake
from actor_server.portrait.landmarker import FaceLandmarker

KEEP_EVERY: Final = 25
"""One picture a second is kept to be looked at more closely."""
PORTRAITS: Final = Path(__file__).resolve().parents[2] / "gateway" / "data" / "portraits"


@dataclass(frozen=True)
class Avatar:
    """A portrait (512, 512, 3) that can be drawn."""

    name: str
    decoder: MeshDecoder
    portrait: Image

    def draw(self, latents: Floats) -> list[Image]:
        """One picture for each of latents (F, 31)."""
        return [self.decoder.render_rgb(latent) for latent in latents]


def default_avatars(
    names: Sequence[str], assets: Path, portraits: Path = PORTRAITS
) -> list[Avatar]:
    """Build shipped portraits by name."""
    intake = PortraitIntake.from_assets(assets)
    try:
        prepared = {
            name: intake.prepare((portraits / f"{name}.jpg").read_bytes()) for name in names
        }
    finally:
        intake.close()
    return [
        Avatar(name, MeshDecoder(MeshPortrait.build(portrait)), portrait.image)
        for name, portrait in prepared.items()
    ]


@dataclass(frozen=True)
class Sighting:
    """What was seen of drawn motion.

    landmarks (F, 478, 3) in pixels; found (F,): where there was a face, elsewhere the landmarks are
    those of closed lips; pictures: one in KEEP_EVERY.
    """

    landmarks: Points
    found: NDArray[np.bool_]
    pictures: tuple[Image, ...]


@dataclass(frozen=True)
class Watcher:
    """Finds the face in drawn motion with the landmarker that the product uses for portraits."""

    avatar: Avatar
    landmarker: FaceLandmarker
    closed: Points

    @classmethod
    def open(cls, avatar: Avatar, assets: Path) -> "Watcher":
        """Look at the avatar with closed lips first. Raises ValueError when no face is found."""
        landmarker = FaceLandmarker(assets / LANDMARKER_FILE)
        found = landmarker.find(avatar.decoder.render_rgb(speech_neutral_latent()))
        if not found:
            raise ValueError(f"no face is found in the drawn portrait {avatar.name}")
        return cls(avatar, landmarker, found[0])

    def watch(self, latents: Floats) -> Sighting:
        """Draw latents (F, 31) and look for the face in each frame."""
        seen, found, kept = [], np.zeros(len(latents), np.bool_), []
        for frame, latent in enumerate(latents):
            (picture,) = self.avatar.draw(latent[None])
            faces = self.landmarker.find(picture)
            found[frame] = bool(faces)
            seen.append(faces[0] if faces else self.closed)
            if frame % KEEP_EVERY == 0:
                kept.append(picture)
        return Sighting(np.stack(seen), found, tuple(kept))

    def lips(self, sighting: Sighting) -> LipTrack:
        """The lips of what was seen."""
        return LipTrack.of_landmarks(sighting.landmarks, self.closed)

    def close(self) -> None:
        self.landmarker.close()
