"""Cut the square that the codec animates: the face at 46 % of its height, inside the picture."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import CROP_SIZE, Image

FACE_SHARE: Final = 0.46
# Rather a larger face than much invented background: up to this share when the picture is tight.
LARGEST_FACE_SHARE: Final = 0.66
# A picture of the crop's own size whose face is in place this closely is taken as it is, so that
# preparing a crop again does not blur it.
IN_PLACE: Final = 0.03


@dataclass(frozen=True)
class CropWindow:
    """A square of the picture, pixels."""

    left: float
    top: float
    side: float

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The (2, 3) map from picture to crop pixels."""
        scale = CROP_SIZE / self.side
        return np.array([[scale, 0, -self.left * scale], [0, scale, -self.top * scale]])

    def carry(self, landmarks: Points) -> Points:
        """Return landmarks (478, 3) in crop pixels."""
        scale = CROP_SIZE / self.side
        return (landmarks - [self.left, self.top, 0]) * scale


def face_height(landmarks: Points) -> float:
    """Return forehead to chin in the picture, pixels."""
    span = landmarks[topology.FOREHEAD, :2] - landmarks[topology.CHIN, :2]
    return float(np.linalg.norm(span))


def crop_window(landmarks: Points, width: int, height: int) -> CropWindow:
    """Choose the square round a face, moved into the picture where it fits."""
    face = face_height(landmarks)
    side = face / FACE_SHARE
    if side > min(width, height):
        side = max(min(width, height), face / LARGEST_FACE_SHARE)
    middle = (landmarks[topology.FOREHEAD, :2] + landmarks[topology.CHIN, :2]) / 2
    left, top = middle[0] - side / 2, middle[1] - side * 0.48
    if side <= width:
        left = np.clip(left, 0, width - side)
    if side <= height:
        top = np.clip(top, 0, height - side)
    return CropWindow(float(left), float(top), float(side))


def is_crop_already(window: CropWindow, width: int, height: int) -> bool:
    return width == height == CROP_SIZE and abs(window.side / CROP_SIZE - 1) < IN_PLACE


def cut(image: Image, window: CropWindow) -> Image:
    """Return the (512, 512, 3) crop; what lies outside the picture is a blurred reflection."""
    scale = window.side / CROP_SIZE
    matrix = window.matrix
    if scale > 1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45 * np.sqrt(scale**2 - 1) + 0.05))
    size = (CROP_SIZE, CROP_SIZE)
    crop = cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.full(image.shape[:2], 255, np.uint8)
    known = cv2.warpAffine(inside, matrix, size, borderMode=cv2.BORDER_CONSTANT)
    if (known < 128).mean() > 0.001:
        mirrored = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT)
        blurred = cv2.GaussianBlur(mirrored, (0, 0), 12)
        edge = cv2.GaussianBlur(cv2.erode(known, np.ones((5, 5), np.uint8)), (0, 0), 4)
        share = edge[..., None] / 255.0
        crop = (crop * share + blurred * (1 - share)).astype(np.uint8)
    return np.asarray(crop, np.uint8)
