"""The mesh round the face: rings that follow the oval, then a grid to the edges of the crop.

Shapes: `M` outer vertices. Units: crop pixels.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import CROP_SIZE
from actor_server.codec.mesh.shaping import index, signed_distances, smoothstep

# Rings at these multiples of the oval; the first has every oval point, the others every second.
RINGS: Final = (1.10, 1.25, 1.45)
GRID_STEP: Final = CROP_SIZE / 20
MARGIN: Final = 0.08 * CROP_SIZE  # outside the crop, so that edges have something to pull from
# Hair and skull fall back from the oval at this slope, as far as this share of the face's height.
RECESSION: Final = 0.55
RECESSION_REACH: Final = 0.45
# How far below the chin (in face heights) the head's motion has faded out.
NECK_REACH: Final = 0.55

OVAL = index(topology.FACE_OVAL)


def outer_points(landmarks: Points) -> Points:
    """Return (M, 2) vertices outside the face."""
    oval = landmarks[OVAL, :2]
    centre = oval.mean(0)
    rings = [centre + (oval[:: 2 if factor > 1.2 else 1] - centre) * factor for factor in RINGS]
    steps = np.arange(-1, 22) * GRID_STEP
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    outside = signed_distances(centre + (oval - centre) * 1.5, grid) < -4
    points = np.concatenate([*rings, grid[outside]])
    near = ((points > -MARGIN) & (points < CROP_SIZE + MARGIN)).all(1)
    kept: Points = points[near]
    return kept


def outer_triangles(landmarks: Points, points: Points) -> NDArray[np.int32]:
    """Return triangles (T, 3) between the oval and the outer points, over landmarks + points."""
    oval = landmarks[OVAL, :2]
    corners = np.concatenate([oval, points])
    triangles = Delaunay(corners).simplices
    outside = signed_distances(oval, corners[triangles].mean(1)) < 0
    numbers = np.concatenate([OVAL, topology.LANDMARKS + np.arange(len(points))])
    chosen: NDArray[np.int32] = numbers[triangles[outside]].astype(np.int32)
    return chosen


def outer_depth(landmarks: Points, points: Points, down: Points) -> NDArray[np.float64]:
    """Return (M,) depths: the skull recedes behind the oval, the neck stays near its plane."""
    oval = landmarks[OVAL]
    face_height = float(np.linalg.norm(landmarks[topology.FOREHEAD] - landmarks[topology.CHIN]))
    distance = np.linalg.norm(points[:, None] - oval[None, :, :2], axis=2)
    nearest = distance.argmin(1)
    reach = np.minimum(distance.min(1), RECESSION_REACH * face_height)
    skull = oval[nearest, 2] + reach * RECESSION
    neck = np.median(oval[:, 2]) + 0.05 * face_height
    below = smoothstep((below_chin(landmarks, points, down) + 0.05) / 0.3)
    depth: NDArray[np.float64] = skull * (1 - below) + neck * below
    return depth


def head_weight(landmarks: Points, points: Points, down: Points) -> NDArray[np.float64]:
    """Return (M,) 1 where a point moves with the head, fading to 0 down the neck."""
    return 1 - smoothstep((below_chin(landmarks, points, down) - 0.02) / NECK_REACH)


def below_chin(landmarks: Points, points: Points, down: Points) -> NDArray[np.float64]:
    """Return (M,) heights under the chin along the face's own axis, in face heights."""
    face_height = float(np.linalg.norm(landmarks[topology.FOREHEAD] - landmarks[topology.CHIN]))
    axis = down[:2] / np.linalg.norm(down[:2])
    below: NDArray[np.float64] = (points - landmarks[topology.CHIN, :2]) @ axis / face_height
    return below
