"""Find the iris in the picture, closer than the landmarker puts it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.pose import Points

# Offsets and radii tried, in radii of the landmarker's circle.
OFFSETS: Final = np.linspace(-0.24, 0.24, 9)
RADII: Final = np.linspace(0.88, 1.36, 9)
OFFSET_COST: Final = 0.35  # share of the contrast that a farthest offset must add to be believed
LEAST_PIXELS: Final = 8


def fit_iris(
    light: NDArray[np.floating], visible: NDArray[np.bool_], centre: Points, radius: float
) -> tuple[Points, float]:
    """Return centre (2,) and radius of the circle with the sharpest dark-to-light rim.

    Shapes: light (h, w) brightness, visible (h, w) where the open eye shows; pixels.
    """
    rows, columns = np.nonzero(visible)
    values = light[rows, columns]
    best, found = -np.inf, (centre, radius)
    for dx in OFFSETS:
        for dy in OFFSETS:
            place = centre + np.array([dx, dy]) * radius
            distance = np.hypot(columns - place[0], rows - place[1])
            order = np.argsort(distance)
            near, summed = distance[order], np.concatenate([[0.0], np.cumsum(values[order])])
            far = (dx**2 + dy**2) / (2 * OFFSETS[-1] ** 2)
            for factor in RADII:
                size = factor * radius
                edges = np.searchsorted(near, [0.72 * size, 0.97 * size, 1.06 * size, 1.34 * size])
                inside, outside = edges[1] - edges[0], edges[3] - edges[2]
                if min(inside, outside) < LEAST_PIXELS:
                    continue
                dark = (summed[edges[1]] - summed[edges[0]]) / inside
                bright = (summed[edges[3]] - summed[edges[2]]) / outside
                score = (bright - dark) * (1 - OFFSET_COST * far)
                if score > best:
                    best, found = score, (place, size)
    return found
