"""Landmarks to latents: the exact inverse of the mesh decoder's geometry.

Used to make training data from tracked clips and to measure what the decoder really shows.

Shapes: `F` frames of (478, 3) landmarks in pixels, z in the same scale.
"""

from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import RIGID
from actor_server.codec.mesh.expression import (
    EYES,
    GAZE_UNIT,
    LID_WIDEN,
    Expression,
    Eye,
    lid_opening,
)
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import (
    BREATH,
    BROWS,
    FURROW,
    GAZE,
    LATENT_DIM,
    LIDS,
    LOG_SCALE,
    MOUTH,
    POSE,
    REST,
    TRANSLATION,
    Latent,
)
from actor_server.codec.mesh.pose import (
    Points,
    align,
    euler_angles,
    rotation_from_vector,
    rotation_vector,
)
from actor_server.codec.mesh.shaping import index

POSE_STEPS: Final = 6  # Gauss-Newton; landmarks made by the decoder need three
# Pose and expression share a few points, so each is found with the other's help; every round takes
# about nine tenths of what is left.
ROUNDS: Final = 12
CLOSE_ENOUGH: Final = 1e-4
DEPTH_TRUST: Final = 0.5  # a tracker's z is noisier than its x and y
LARGEST_WIDENING: Final = 0.4

_LANDMARKS = topology.LANDMARKS
_BROW_POINTS = index((*topology.RIGHT_BROW, *topology.LEFT_BROW))


class MeshEncoder:
    """Encodes landmarks of one person; `geometry` is that person's mesh at rest."""

    def __init__(self, geometry: FaceGeometry, expression: Expression) -> None:
        self._geometry = geometry
        self._rest = geometry.vertices[:_LANDMARKS].copy()
        # Only landmarks are seen, so only their part of every field is needed.
        self._expression = Expression(
            mouth=expression.mouth[:, :_LANDMARKS],
            closing=expression.closing[:_LANDMARKS],
            brows=expression.brows[:, :_LANDMARKS],
            mouth_scale=expression.mouth_scale,
            down=expression.down,
            touch=expression.touch,
        )
        fields = self._expression.brows[:, _BROW_POINTS].reshape(3, -1)
        self._brow_inverse = np.linalg.solve(fields @ fields.T, fields)

    @classmethod
    def from_neutral(cls, landmarks: Points) -> Self:
        """Build from the (478, 3) landmarks of a frame with closed lips and open eyes."""
        geometry = FaceGeometry.build(landmarks)
        return cls(geometry, Expression.build(geometry))

    def encode_clip(self, clip: NDArray[np.floating], rest: float = 0.0) -> NDArray[np.float32]:
        """Return (F, 31) latents of (F, 478, 3) landmarks; see `encode`."""
        return np.stack([self.encode(frame.astype(np.float64), rest) for frame in clip])

    def encode(self, landmarks: Points, rest: float = 0.0, breath: float = 0.0) -> Latent:
        """Return the (31,) latent of (478, 3) landmarks.

        Landmarks do not tell a mouth at rest from one held open, nor do they show the chest: `rest`
        and `breath` are the caller's to say.
        """
        latent = np.zeros(LATENT_DIM, np.float64)
        latent[REST], latent[BREATH] = rest, breath
        shaped = self._rest
        pose = self._first_pose(landmarks)
        for _ in range(ROUNDS):
            before = latent.copy()
            pose = self._refine_pose(landmarks, shaped, pose)
            self._read_expression(self._undo_pose(landmarks, pose), latent)
            shaped = self._expression.apply(self._rest, latent.astype(np.float32))
            if np.abs(latent - before).max() < CLOSE_ENOUGH:
                break
        latent[POSE] = euler_angles(rotation_from_vector(pose[:3]))
        latent[TRANSLATION], latent[LOG_SCALE] = pose[3:5], pose[5]
        return latent.astype(np.float32)

    def _read_expression(self, upright: Points, latent: NDArray[np.float64]) -> None:
        """Fill mouth, brows, lids and gaze from (478, 3) landmarks with the head turned back."""
        expression = self._expression
        upright = upright.copy()
        expression.part_lips(upright)
        moved = upright - self._rest - (1 - latent[REST]) * expression.closing
        mouth = np.tensordot(latent[MOUTH], expression.mouth, 1)
        brows = self._brow_inverse @ (moved - mouth)[_BROW_POINTS].reshape(-1)
        latent[BROWS], latent[FURROW] = brows[:2], brows[2]
        moved = moved - np.tensordot(brows, expression.brows, 1)
        canonical = moved @ self._geometry.alignment.rotation / self._geometry.alignment.scale
        latent[MOUTH] = mouth_basis().project(canonical / expression.mouth_scale)
        without_lids = latent.copy()
        without_lids[LIDS], without_lids[GAZE] = 0.0, 0.0
        base = expression.apply(self._rest, without_lids.astype(np.float32))
        gaze = []
        for number, eye in enumerate(EYES):
            latent[LIDS.start + number] = _closure(lid_opening(base, eye), upright, eye)
            width = np.linalg.norm(self._rest[eye.upper[0]] - self._rest[eye.upper[-1]])
            shift = (upright - base)[eye.iris[0], :2]
            gaze.append(shift / (GAZE_UNIT * width))
        latent[GAZE] = np.mean(gaze, axis=0)

    def _first_pose(self, landmarks: Points) -> NDArray[np.float64]:
        """Return (7,): rotation vector, translation, log scale, depth offset of the tracker.

        The similarity between the rigid points, which knows no perspective.
        """
        geometry = self._geometry
        start = align(self._rest[RIGID], landmarks[RIGID])
        pivot = start.scale * start.rotation @ geometry.pivot + start.offset
        shift = (pivot - geometry.pivot) / geometry.face_height
        vector = rotation_vector(start.rotation)
        pose = [*vector, shift[0], shift[1], np.log(start.scale), shift[2]]
        return np.array(pose, np.float64)

    def _refine_pose(
        self, landmarks: Points, shaped: Points, pose: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Gauss-Newton on the rigid points of the face with its present expression."""
        source, target = shaped[RIGID], landmarks[RIGID]
        weights = np.array([1, 1, DEPTH_TRUST])
        for _ in range(POSE_STEPS):
            predicted = self._apply_pose(source, pose)
            error = ((target - predicted) * weights).reshape(-1)
            slopes = np.empty((error.size, 7))
            for k in range(7):
                step = np.zeros(7)
                step[k] = 1e-6
                change = self._apply_pose(source, pose + step) - predicted
                slopes[:, k] = (change * weights).reshape(-1) / 1e-6
            move = np.linalg.lstsq(slopes, error, rcond=None)[0]
            pose = pose + move
            if np.abs(move).max() < 1e-8:
                break
        return pose

    def _apply_pose(self, points: Points, pose: NDArray[np.float64]) -> Points:
        """Turn (N, 3) picture points as the decoder does, then offset their depth."""
        geometry = self._geometry
        matrix = rotation_from_vector(pose[:3]) * np.exp(pose[5])
        turned: Points = geometry.unproject(points) @ matrix.T
        turned[:, :2] /= 1 + turned[:, 2:] / geometry.focal
        turned += geometry.pivot
        turned += np.array([pose[3], pose[4], pose[6]]) * geometry.face_height
        return turned

    def _undo_pose(self, landmarks: Points, pose: NDArray[np.float64]) -> Points:
        """Return (478, 3) landmarks as they would be with the head as in the portrait."""
        geometry = self._geometry
        level = landmarks - np.array([0, 0, pose[6] * geometry.face_height])
        space = geometry.unproject(level, pose[3:5] * geometry.face_height)
        turned = space @ rotation_from_vector(pose[:3]) / np.exp(pose[5])
        turned[:, :2] /= 1 + turned[:, 2:] / geometry.focal
        upright: Points = turned + geometry.pivot
        return upright


def _closure(open_at_rest: float, upright: Points, eye: Eye) -> float:
    ratio = lid_opening(upright, eye) / max(open_at_rest, 1e-6)
    closure = 1 - ratio if ratio <= 1 else (1 - ratio) / LID_WIDEN
    return float(np.clip(closure, -LARGEST_WIDENING, 1.0))
