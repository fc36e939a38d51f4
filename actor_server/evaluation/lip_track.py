"""Lips in the frame of the canonical face: of latents, or of landmarks found in pictures.

Shapes: F frames, P = 80: x and y of the forty lip landmarks. Units: eye distances, from outer eye
corner to outer eye corner (1.41 inter-iris distances), relative to closed lips.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.latent import LATENT_DIM, MOUTH
from actor_server.codec.mesh.pose import Points
from actor_server.motion.source import Floats

EYE_CORNERS: Final = (topology.RIGHT_LID_UPPER[0], topology.LEFT_LID_UPPER[0])
_LIPS: Final = list(topology.LIPS)


@dataclass(frozen=True)
class LipTrack:
    """The lips of a clip: points (F, P) and the gap between the inner lips (F,), never negative."""

    points: Floats
    gap: Floats

    @classmethod
    def of_latents(cls, latents: Floats) -> "LipTrack":
        """What the mouth coefficients of latents (F, 31) say: exact, nothing is drawn."""
        if latents.ndim != 2 or latents.shape[1] != LATENT_DIM:
            raise ValueError(f"latents are {latents.shape}, must be (F, {LATENT_DIM})")
        mouths = latents[:, MOUTH].astype(np.float64)
        field = mouth_basis().displacements[:, _LIPS, :2].reshape(mouths.shape[1], -1)
        gap = np.maximum(mouths @ mouth_basis().features["gap"], 0.0)
        unit = eye_distance()
        return cls((mouths @ field / unit).astype(np.float32), (gap / unit).astype(np.float32))

    @classmethod
    def of_landmarks(cls, clip: NDArray[np.float64], closed: Points) -> "LipTrack":
        """What was found in pictures: landmarks (F, 478, 3) and those of the same face, closed.

        The head's pose is taken out and the mouth's own size is made the canonical one.
        """
        face = canonical_face()
        neutral = face.align(closed).invert(closed)
        still = np.stack([face.align(frame).invert(frame) for frame in clip])
        right, left = topology.OUTER_CORNERS
        size = np.linalg.norm(neutral[right] - neutral[left])
        usual = np.linalg.norm(face.vertices[right] - face.vertices[left])
        moved = (still - neutral) * (usual / size / eye_distance())
        gap = moved[:, topology.INNER_LIP_BOTTOM, 1] - moved[:, topology.INNER_LIP_TOP, 1]
        points = moved[:, _LIPS, :2].reshape(len(clip), -1)
        return cls(points.astype(np.float32), np.maximum(gap, 0.0).astype(np.float32))


def eye_distance() -> float:
    """Between the outer eye corners of the canonical face, inter-iris distances."""
    right, left = EYE_CORNERS
    return float(np.linalg.norm(canonical_face().vertices[right] - canonical_face().vertices[left]))
