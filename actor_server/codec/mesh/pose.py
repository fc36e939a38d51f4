"""Rotations and similarity alignment of landmark sets.

Shapes: `N` points, rows of `(N, 3)` arrays; x right, y down, z away from the viewer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def rotation(yaw: float, pitch: float, roll: float) -> Points:
    """Return the (3, 3) matrix Rz(roll) Rx(pitch) Ry(yaw), angles in radians."""
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    product: Points = about_z @ about_x @ about_y
    return product


def euler_angles(matrix: Points) -> tuple[float, float, float]:
    """Return (yaw, pitch, roll) in radians, the inverse of `rotation` for |pitch| < pi/2."""
    pitch = float(np.arcsin(np.clip(matrix[2, 1], -1.0, 1.0)))
    yaw = float(np.arctan2(-matrix[2, 0], matrix[2, 2]))
    roll = float(np.arctan2(-matrix[0, 1], matrix[1, 1]))
    return yaw, pitch, roll


def rotation_from_vector(vector: NDArray[np.float64]) -> Points:
    """Return the (3, 3) rotation of an axis times angle (3,). Source: Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Points = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turned


def rotation_vector(matrix: Points) -> NDArray[np.float64]:
    """Return the axis times angle (3,) of a rotation by less than half a turn."""
    axis = np.array(
        [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    )
    sine = float(np.linalg.norm(axis)) / 2
    cosine = (float(np.trace(matrix)) - 1) / 2
    if sine < 1e-12:
        return np.zeros(3)
    vector: NDArray[np.float64] = axis / (2 * sine) * np.arctan2(sine, cosine)
    return vector


@dataclass(frozen=True)
class Similarity:
    """The map `x -> scale * rotation @ x + offset`."""

    scale: float
    rotation: Points  # (3, 3)
    offset: Points  # (3,)

    def invert(self, points: Points) -> Points:
        """Map (N, 3) target points back into the source frame."""
        back: Points = ((points - self.offset) @ self.rotation) / self.scale
        return back


def align(source: Points, target: Points) -> Similarity:
    """Return the least-squares similarity that takes source (N, 3) to target (N, 3).

    Source: Umeyama, "Least-squares estimation of transformation parameters", PAMI 13(4), 1991.
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    matrix = (u * signs) @ vt
    scale = float((s * signs).sum() / (a**2).sum())
    return Similarity(scale, matrix, target_mean - scale * matrix @ source_mean)
