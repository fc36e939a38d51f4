"""An avatar with a child's proportions: no child's picture, but the shape the codec has to carry.

Large eyes far down in the face, a short nose, a small low jaw, round cheeks, smooth skin.

Shapes: N points (N, 2) in pixels of the crop.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.prepared import CROP_SIZE, Image, PreparedPortrait
from actor_server.codec.mesh.shaping import index

LOWER_FACE: Final = 0.80
"""What is left of heights below the eyes, and how much the forehead grows."""
FOREHEAD: Final = 1.12
EYE_SIZE: Final = 1.22
CHEEKS: Final = 1.05
GRID: Final = 33
"""Places in a row at which the bending is worked out; between them it is smooth."""
EDGE_POINTS: Final = 9
SMOOTH: Final = (9, 28, 7)
"""Bilateral filter: pixels, grey levels, pixels."""

Points = NDArray[np.float64]


def child(portrait: PreparedPortrait) -> Image:
    """Bend the (512, 512, 3) crop so that its landmarks have a child's proportions."""
    face = portrait.landmarks[:, :2]
    edge = np.linspace(0, CROP_SIZE - 1, EDGE_POINTS)
    frame = np.array([(x, y) for x in edge for y in edge if {x, y} & {edge[0], edge[-1]}])
    some = np.unique(np.concatenate([index(topology.FACE_OVAL), np.arange(0, len(face), 3)]))
    wanted = np.concatenate([_proportions(face)[some], frame])
    back = RBFInterpolator(wanted, np.concatenate([face[some], frame]), smoothing=2.0)
    steps = np.linspace(0, CROP_SIZE - 1, GRID)
    places = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    bend = (back(places) - places).reshape(GRID, GRID, 2).astype(np.float32)
    bend = np.asarray(cv2.resize(bend, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC))
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE].astype(np.float32)
    bent = cv2.remap(
        cv2.bilateralFilter(portrait.image, *SMOOTH),
        columns + bend[..., 0],
        rows + bend[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(bent, np.uint8)


def _proportions(face: Points) -> Points:
    """Where (478, 2) landmarks are in the face of a child with the same eyes' places."""
    right, left = (face[np.concatenate([eye.upper, eye.lower])].mean(0) for eye in EYES)
    middle, along = (right + left) / 2, (left - right) / np.linalg.norm(left - right)
    down = np.array([-along[1], along[0]])
    across, below = (face - middle) @ along, (face - middle) @ down
    below = np.where(below > 0, below * LOWER_FACE, below * FOREHEAD)
    shaped: Points = middle + np.outer(across * CHEEKS, along) + np.outer(below, down)
    for eye, centre in zip(EYES, (right, left), strict=True):
        rim = np.concatenate([eye.upper, eye.lower, eye.crease, eye.under, eye.iris])
        place = middle + (centre - middle) * CHEEKS
        shaped[rim] = place + (face[rim] - centre) * EYE_SIZE
    return shaped
