"""The portrait's mesh at rest, and the camera that turns the head in front of the picture.

Shapes: `V` vertices: the 478 landmarks, then the outer mesh. Units: crop pixels, z away.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import outer_mesh, topology
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.latent import (
    LOG_SCALE,
    PITCH,
    POSE,
    POSE_LIMIT_RAD,
    TRANSLATION,
    YAW,
    Latent,
)
from actor_server.codec.mesh.pose import Points, Similarity, euler_angles, rotation
from actor_server.codec.mesh.shaping import index

# Distance of the camera in face heights: a portrait lens at arm's length or two.
CAMERA_DISTANCE: Final = 4.5
# The torso takes part in this share of the head's translation.
TORSO_SHARE: Final = 0.25
BREATH_RISE: Final = 0.006  # face heights

# A portrait turned beyond the first of these angles turns back less far, beyond the second not at
# all, for behind its nose there is only nose to be shown; it nods by no more than this share.
TURNS_BACK_RAD: Final = (0.35, 0.75)
NODS: Final = 0.4

_LIMIT = np.array(POSE_LIMIT_RAD)
_INNER_UPPER = index(topology.LIP_INNER_UPPER)
_INNER_LOWER = index(topology.LIP_INNER_LOWER)


@dataclass(frozen=True)
class FaceGeometry:
    """Vertices, triangles and the head's frame of one portrait."""

    vertices: Points  # (V, 3) at rest
    outer_triangles: NDArray[np.int32]  # (A, 3) hair, neck, background
    face_triangles: NDArray[np.int32]  # (B, 3)
    head_weight: NDArray[np.float64]  # (V,)
    alignment: Similarity  # canonical face -> portrait
    pivot: Points  # (3,) base of the skull
    face_height: float

    @classmethod
    def build(cls, landmarks: Points) -> Self:
        """Build the mesh round (478, 3) landmarks."""
        face = canonical_face()
        alignment = face.align(landmarks)
        down = alignment.rotation[:, 1]
        landmarks = _uncross_lips(landmarks, down)
        points = outer_mesh.outer_points(landmarks)
        depth = outer_mesh.outer_depth(landmarks, points, down)
        face_height = float(np.linalg.norm(landmarks[topology.FOREHEAD] - landmarks[topology.CHIN]))
        return cls(
            vertices=np.concatenate([landmarks, np.column_stack([points, depth])]),
            outer_triangles=outer_mesh.outer_triangles(landmarks, points),
            face_triangles=face.triangles,
            head_weight=np.concatenate(
                [np.ones(topology.LANDMARKS), outer_mesh.head_weight(landmarks, points, down)]
            ),
            alignment=alignment,
            pivot=skull_base(landmarks, face_height),
            face_height=face_height,
        )

    @property
    def down(self) -> Points:
        """The (3,) direction from forehead to chin in the picture."""
        return self.alignment.rotation[:, 1]

    @property
    def focal(self) -> float:
        return CAMERA_DISTANCE * self.face_height

    @cached_property
    def pose_limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least and greatest (3,) yaw, pitch and roll that this portrait can show."""
        low, high = -_LIMIT, _LIMIT.copy()
        yaw = euler_angles(self.alignment.rotation)[0]
        near, far = TURNS_BACK_RAD
        back = float(np.clip((far - abs(yaw)) / (far - near), 0, 1))
        (low if yaw > 0 else high)[YAW] *= back
        low[PITCH] *= NODS + (1 - NODS) * back
        high[PITCH] *= NODS + (1 - NODS) * back
        return low, high

    def unproject(self, points: Points, shift: Points | float = 0.0) -> Points:
        """Return (N, 3) picture points, z their depth, relative to the pivot in space."""
        relative = points - self.pivot
        relative[:, :2] -= shift
        relative[:, :2] *= 1 + relative[:, 2:] / self.focal
        return relative

    def turn_head(self, points: Points, latent: Latent) -> Points:
        """Return where (N, 3) picture points of the head go under the latent's pose."""
        low, high = self.pose_limits
        yaw, pitch, roll = np.clip(latent[POSE].astype(np.float64), low, high)
        matrix = rotation(yaw, pitch, roll) * float(np.exp(latent[LOG_SCALE]))
        turned = self.unproject(points) @ matrix.T
        turned[:, :2] /= 1 + turned[:, 2:] / self.focal
        turned += self.pivot
        turned[:, :2] += latent[TRANSLATION].astype(np.float64) * self.face_height
        return turned

    def place(self, vertices: Points, latent: Latent, breath: float) -> Points:
        """Return the (V, 3) vertices in the picture: head turned, neck bent, torso almost still."""
        shift = latent[TRANSLATION].astype(np.float64) * self.face_height
        weight = self.head_weight[:, None]
        placed = self.turn_head(vertices, latent)
        placed[:, :2] -= shift
        placed = vertices + weight * (placed - vertices)
        placed[:, :2] += np.maximum(weight, TORSO_SHARE) * shift
        placed[:, 1] -= breath * BREATH_RISE * self.face_height * (1 - self.head_weight)
        return placed


def skull_base(landmarks: Points, face_height: float) -> Points:
    """Return the (3,) point about which a head turns, between the ears and above the chin."""
    ears = landmarks[list(topology.EARS)].mean(0)
    base: Points = landmarks[topology.CHIN] * 0.35 + ears * 0.65 + [0, 0, 0.15 * face_height]
    return base


def _uncross_lips(landmarks: Points, down: Points) -> Points:
    """Return landmarks whose inner lips meet where the landmarker had them overlap."""
    landmarks = landmarks.copy()
    overlap = np.minimum((landmarks[_INNER_LOWER] - landmarks[_INNER_UPPER]) @ down, 0)[:, None]
    landmarks[_INNER_LOWER] -= 0.5 * overlap * down
    landmarks[_INNER_UPPER] += 0.5 * overlap * down
    return landmarks
