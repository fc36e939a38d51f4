"""Ramps and polygons that the mesh codec shapes its masks with."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


def smoothstep(x: NDArray[np.floating]) -> Field:
    """Return 0 below 0, 1 above 1 and 3x^2 - 2x^3 between."""
    clipped = np.clip(x, 0.0, 1.0)
    ramp: Field = clipped * clipped * (3.0 - 2.0 * clipped)
    return ramp


def signed_distances(polygon: NDArray[np.floating], points: NDArray[np.floating]) -> Field:
    """Return (N,) distances of (N, 2) points to a polygon's outline, positive inside."""
    outline = polygon.astype(np.float32).reshape(-1, 1, 2)
    return np.array(
        [cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in points], np.float64
    )


def polygon_mask(size: tuple[int, int], polygon: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a (height, width) mask, 255 inside the (N, 2) polygon."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 255)
    return mask


def ring(upper: NDArray[np.floating], lower: NDArray[np.floating]) -> NDArray[np.floating]:
    """Join an upper and a lower row that share their corners into one closed polygon."""
    return np.concatenate([upper, lower[::-1][1:-1]])


def index(landmarks: Sequence[int]) -> NDArray[np.int64]:
    return np.array(landmarks, np.int64)
