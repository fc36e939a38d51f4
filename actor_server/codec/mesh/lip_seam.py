"""Find where closed lips really meet, so that they part along the seam of the picture."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image
from actor_server.codec.mesh.shaping import index

# Inner lips farther apart than this (inter-iris distances) are an open mouth, left as it is.
OPEN_AT_REST: Final = 0.07
SEARCH: Final = 0.045  # inter-iris distances above and below the middle of the tracked lips
STEPS: Final = 33
CENTRE_PULL: Final = 0.6  # how much darker a far place must be to win over the tracked middle

_UPPER = index(topology.LIP_INNER_UPPER)
_LOWER = index(topology.LIP_INNER_LOWER)


def lips_open(landmarks: Points, down: Points, scale: float) -> bool:
    """Tell whether the mouth of (478, 3) landmarks stands open."""
    gaps = (landmarks[_LOWER] - landmarks[_UPPER]) @ down / scale
    return bool(gaps.max() > OPEN_AT_REST)


def meet_at_seam(landmarks: Points, image: Image, down: Points, scale: float) -> Points:
    """Return landmarks whose closed inner lips lie together on the dark line between the lips.

    Trackers put them a pixel or two apart or across; drawn like that, a closed mouth would show a
    slit of teeth. `scale` is pixels per inter-iris distance.
    """
    if lips_open(landmarks, down, scale):
        return landmarks
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.2)
    axis = down[:2] / np.linalg.norm(down[:2])
    middle = (landmarks[_UPPER] + landmarks[_LOWER])[1:-1] / 2  # (9, 3)
    offsets = np.linspace(-SEARCH, SEARCH, STEPS) * scale
    places = middle[:, None, :2] + offsets[None, :, None] * axis  # (9, STEPS, 2)
    light = _sample(grey, places)
    contrast = np.ptp(light, axis=1, keepdims=True) + 1e-6
    cost = (light - light.min(1, keepdims=True)) / contrast
    cost += CENTRE_PULL * (offsets / (SEARCH * scale)) ** 2
    found = offsets[cost.argmin(1)]
    # The seam is a smooth line: neighbours outvote a nostril's shadow or a moustache hair.
    padded = np.pad(found, 2, mode="edge")
    smooth = np.convolve(padded, np.array([1, 2, 3, 2, 1]) / 9, "valid")
    seam = middle.copy()
    seam[:, :2] += smooth[:, None] * axis
    met = landmarks.copy()
    met[_UPPER[1:-1]] = met[_LOWER[1:-1]] = seam
    return met


def _sample(grey: NDArray[np.integer | np.floating], places: Points) -> NDArray[np.float64]:
    x, y = places[..., 0].astype(np.float32), places[..., 1].astype(np.float32)
    return np.asarray(cv2.remap(grey, x, y, cv2.INTER_LINEAR), np.float64)
