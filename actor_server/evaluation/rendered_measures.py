"""What drawn frames tell: is it still this face, is it sharp, do head and upper face move?

Shapes: F frames, 478 landmarks. Units: eye distances, outer corner to outer corner.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.latent import portrait_latent
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import FRAME_SIZE, Image
from actor_server.evaluation.cpbd import cpbd
from actor_server.evaluation.identity import Embedding, FaceRecogniser, FaceUnseen
from actor_server.evaluation.lip_track import EYE_CORNERS, eye_distance
from actor_server.evaluation.rendered import Avatar, Sighting

NOSE: Final = [6, 197, 195, 5, 4, topology.NOSE_TIP, topology.NOSE_BASE]
UPPER_FACE: Final = sorted(
    {
        *(topology.RIGHT_BROW + topology.LEFT_BROW + topology.RIGHT_CREASE + topology.LEFT_CREASE),
        *(topology.RIGHT_LID_UPPER + topology.LEFT_LID_UPPER),
        *(topology.RIGHT_LID_LOWER + topology.LEFT_LID_LOWER),
    }
)
"""Brows and eyelids. Mouth, cheeks and the eyes' own direction are left out."""


@dataclass(frozen=True)
class RenderedFigures:
    """Of the drawn frames of all takes.

    `unseen`: frames in which the landmarker finds no face; `pictures`: how many were looked at for
    identity and sharpness. `identity`, `stranger`: mean cosine of SFace with the portrait, and with
    the portrait of another avatar. `cpbd`: mean sharpness; `cpbd_to_still`: over that of what the
    decoder draws when nothing moves; `cpbd_to_crop`: over that of the portrait's crop, made as
    small as a frame, without the sharpening that the decoder ends with.
    `head_motion` (the paper's Glo): root mean square distance of the nose from its mean place in
    the take; `expression` (Exp): the same of brows and lids with the head's pose taken out.
    The paper does not say how it scales Glo and Exp: these are not comparable with its figures.
    """

    frames: int
    unseen: int
    pictures: int
    identity: float | None
    stranger: float | None
    cpbd: float
    cpbd_to_still: float | None
    cpbd_to_crop: float | None
    head_motion: float | None
    expression: float | None


@dataclass(frozen=True)
class Looks:
    """Mean likeness with the portrait, None where no face is found, and mean sharpness."""

    identity: float | None
    cpbd: float


@dataclass(frozen=True)
class Examiner:
    """Knows a portrait, and another one to tell it from."""

    recogniser: FaceRecogniser
    portrait: Embedding
    stranger: Embedding
    still_cpbd: float
    crop_cpbd: float

    @classmethod
    def open(cls, avatar: Avatar, stranger: Image, assets: Path) -> "Examiner":
        """Look at the portrait and at another one's. Raises FaceUnseen, FileNotFoundError."""
        recogniser = FaceRecogniser(assets)
        return cls(
            recogniser,
            recogniser.embedding(avatar.portrait),
            recogniser.embedding(stranger),
            cpbd(*avatar.draw(portrait_latent()[None])),
            cpbd(as_frame(avatar.portrait)),
        )

    def examine(self, sightings: Sequence[Sighting]) -> RenderedFigures:
        """Measure what was seen of takes."""
        pictures = [picture for sighting in sightings for picture in sighting.pictures]
        faces = self._faces(pictures)
        sharpness = float(np.mean([cpbd(picture) for picture in pictures]))
        seen = [sighting.landmarks[sighting.found] for sighting in sightings]
        return RenderedFigures(
            frames=sum(len(sighting.found) for sighting in sightings),
            unseen=sum(int((~sighting.found).sum()) for sighting in sightings),
            pictures=len(pictures),
            identity=float((faces @ self.portrait).mean()) if len(faces) else None,
            stranger=float((faces @ self.stranger).mean()) if len(faces) else None,
            cpbd=sharpness,
            cpbd_to_still=sharpness / self.still_cpbd if self.still_cpbd else None,
            cpbd_to_crop=sharpness / self.crop_cpbd if self.crop_cpbd else None,
            head_motion=head_motion(seen),
            expression=expression(seen),
        )

    def glance(self, pictures: Sequence[Image]) -> Looks:
        """The same of a few pictures, without a landmarker."""
        faces = self._faces(pictures)
        return Looks(
            identity=float((faces @ self.portrait).mean()) if len(faces) else None,
            cpbd=float(np.mean([cpbd(picture) for picture in pictures])),
        )

    def _faces(self, pictures: Sequence[Image]) -> Embedding:
        """Vectors (N, 128) of the pictures in which a face is found."""
        found = []
        for picture in pictures:
            with suppress(FaceUnseen):
                found.append(self.recogniser.embedding(picture))
        return np.array(found, np.float32)


def as_frame(portrait: Image) -> Image:
    """A portrait's crop (512, 512, 3) as large as frames are."""
    return np.asarray(cv2.resize(portrait, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA))


def head_motion(takes: Sequence[Points]) -> float | None:
    """How far the nose moves in landmarks (F, 478, 3) of takes, in the picture's plane."""
    moved = []
    for landmarks in (take for take in takes if len(take)):
        right, left = (landmarks[:, corner] for corner in EYE_CORNERS)
        unit = np.linalg.norm(right - left, axis=1).mean()
        moved.append(landmarks[:, NOSE, :2] / unit)
    return _spread(moved)


def expression(takes: Sequence[Points]) -> float | None:
    """How far brows and lids move in landmarks (F, 478, 3) of takes, beside the head's motion."""
    face = canonical_face()
    return _spread(
        [
            np.stack([face.align(frame).invert(frame)[UPPER_FACE, :2] for frame in landmarks])
            / eye_distance()
            for landmarks in takes
            if len(landmarks)
        ]
    )


def _spread(takes: Sequence[NDArray[np.float64]]) -> float | None:
    """Root mean square distance of points (F, P, 2) from their own mean places in the take."""
    squares = [((take - take.mean(0)) ** 2).sum(2) for take in takes]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else None
