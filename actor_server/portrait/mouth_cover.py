"""Is something held or worn before the mouth? It would be torn open with the lips."""

from typing import Final

import cv2
import numpy as np

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image

CHEEKS: Final = (50, 280, 205, 425)
NEUTRAL: Final = 128.0  # of LAB's red-green axis as OpenCV stores it
# A cheek less red than this is grey, painted green or lit blue: nothing can be said of its lips.
LEAST_RED: Final = 5.0
LIP_RED: Final = 0.25  # of the cheek's red that every lip has; cloth and metal have less
COVERED: Final = 0.4  # share of the lower lip


def covered_share(image: Image, landmarks: Points) -> float:
    """Return 0 .. 1: how much of the lower lip has no colour of skin, 0 in pictures without colour.

    A hand has that colour, so it is not found. Takes (H, W, 3) RGB and (478, 3) landmarks.
    """
    red = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 1.5), cv2.COLOR_RGB2LAB)[..., 1] - NEUTRAL
    inner = landmarks[list(topology.LIP_INNER_LOWER), :2]
    outer = landmarks[list(topology.LIP_OUTER_LOWER), :2]
    cheek = float(np.median(_at(red, landmarks[list(CHEEKS), :2])))
    if cheek < LEAST_RED:
        return 0.0
    lip = _at(red, ((inner + outer) / 2)[1:-1])
    return float((lip < LIP_RED * cheek).mean())


def _at(values: np.ndarray, points: Points) -> np.ndarray:
    """Read (H, W) values at the pixels nearest to (N, 2) points."""
    height, width = values.shape
    x, y = np.round(points).astype(int).T
    picked: np.ndarray = values[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return picked
