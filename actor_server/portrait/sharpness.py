"""How blurred is a face?"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image

FACE_SIZE: Final = 96  # pixels to which the face is reduced: blur that shows here spoils the avatar
BOX: Final = 9


def blur(image: Image, landmarks: Points) -> float:
    """Return 0 (crisp) .. 1 (blurred) for the face in a picture.

    The share of edge contrast that survives another blur: what is blurred already has none to lose.
    Source: Crete, Dolmiere, Ladret, Nicolas, "The blur effect", SPIE 6492, 2007.
    """
    oval = landmarks[list(topology.FACE_OVAL), :2]
    low = np.clip(np.floor(oval.min(0)).astype(int), 0, None)
    high = np.ceil(oval.max(0)).astype(int) + 1
    face = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    scale = FACE_SIZE / max(face.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = cv2.resize(face, None, fx=scale, fy=scale, interpolation=how).astype(np.float64)
    return max(_blur_along(grey, (BOX, 1)), _blur_along(grey, (1, BOX)))


def _blur_along(grey: NDArray[np.float64], box: tuple[int, int]) -> float:
    axis = 1 if box[0] > 1 else 0
    soft = cv2.blur(grey, box)
    sharp_edges = np.abs(np.diff(grey, axis=axis))
    soft_edges = np.abs(np.diff(soft, axis=axis))
    total = float(sharp_edges.sum())
    if total == 0:
        return 1.0
    lost = float(np.maximum(sharp_edges - soft_edges, 0).sum())
    return 1 - lost / total
