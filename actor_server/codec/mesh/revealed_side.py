"""When the head turns, the side that comes into sight was hardly seen in the portrait.

There the tracker's outline lies on hair or background, and unfolding would stretch those over
cheek and temple. So the further the head turns, the further inside the cheek its edge takes its
skin from, and the more the rim of the temple is replaced by skin spread outwards from inside.
"""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.background import TEXTURE_MARGIN
from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.pose import euler_angles
from actor_server.codec.mesh.prepared import Image
from actor_server.codec.mesh.shaping import index, polygon_mask, ring, smoothstep

# Canonical distance from the middle of the face where sliding begins, and where it is full.
BEGINS: Final = 0.76  # just outside the eyes
FULL: Final = 1.12
REACH: Final = 0.24  # inter-iris distances at the face's edge
CHEEK_BEGINS: Final = 0.10  # below the eyes; above this the rim is cleaned instead
CHEEK_FULL: Final = 0.40
TEMPLE_BEGINS: Final = 0.40
RIM: Final = 0.20  # inter-iris distances of the temple's edge that are replaced
FULL_TURN_RAD: Final = 0.12
# A side that the portrait shows from the front needs little, one turned away by this much all.
TURNED_AWAY_RAD: Final = 0.16
LEAST: Final = 0.15


@dataclass(frozen=True)
class Rim:
    """Pixels of one temple to fade in: a box of the texture, (h, w, 3), before and after."""

    left: int
    top: int
    seen: Image
    clean: Image


@dataclass(frozen=True)
class RevealedSide:
    """What changes as one side of the face (of the picture) comes into sight."""

    slide: NDArray[np.float32]  # (478, 2) pixels that texture places move at a full turn
    rim: Rim

    @classmethod
    def build(cls, geometry: FaceGeometry, image: Image, side: int) -> Self:
        """Prepare the left (-1) or right (1) side of the picture."""
        own = geometry.alignment.invert(geometry.vertices[: topology.LANDMARKS])
        yaw = euler_angles(geometry.alignment.rotation)[0]
        need = float(np.clip(LEAST + (1 - LEAST) * -side * yaw / TURNED_AWAY_RAD, LEAST, 1))
        across = geometry.alignment.rotation[:2, 0] * geometry.alignment.scale
        edge = smoothstep((side * own[:, 0] - BEGINS) / (FULL - BEGINS))
        edge *= smoothstep((own[:, 1] - CHEEK_BEGINS) / (CHEEK_FULL - CHEEK_BEGINS))
        slide = -side * REACH * need * edge[:, None] * across
        return cls(slide.astype(np.float32), _clean_rim(geometry, image, side, need))

    def apply(self, sources: NDArray[np.float32], texture: NDArray[np.uint8], yaw: float) -> None:
        """Slide texture places (V, 2) and fade the rim of a padded texture for a turn."""
        turn = min(abs(yaw) / FULL_TURN_RAD, 1.0)
        sources[: topology.LANDMARKS] += np.float32(turn) * self.slide
        rim = self.rim
        height, width = rim.seen.shape[:2]
        top, left = rim.top + TEXTURE_MARGIN, rim.left + TEXTURE_MARGIN
        place = texture[top : top + height, left : left + width, :3]
        place[:] = cv2.addWeighted(rim.clean, turn, rim.seen, 1 - turn, 0)


def _clean_rim(geometry: FaceGeometry, image: Image, side: int, need: float) -> Rim:
    """Replace the edge of one temple by skin from further inside the face."""
    scale = geometry.alignment.scale
    landmarks = geometry.vertices[: topology.LANDMARKS, :2]
    face = polygon_mask(image.shape[:2], landmarks[index(topology.FACE_OVAL)])
    depth = np.asarray(cv2.distanceTransform(face, cv2.DIST_L2, 5) / scale, np.float64)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    picture = np.stack([columns, rows], -1) - geometry.alignment.offset[:2]
    upright = np.asarray(picture @ geometry.alignment.rotation[:2, :2] / scale, np.float64)
    eye, height = EYES[0 if side < 0 else 1], upright[..., 1]
    temple = (side * upright[..., 0] > TEMPLE_BEGINS) & (height < CHEEK_FULL)
    opening = polygon_mask(
        image.shape[:2], np.asarray(ring(landmarks[eye.upper], landmarks[eye.lower]))
    )
    grow = np.ones((2 * round(0.05 * scale) + 1,) * 2, np.uint8)
    protected = cv2.GaussianBlur(cv2.dilate(opening, grow), (0, 0), 0.02 * scale) / 255.0
    below = smoothstep((height - CHEEK_BEGINS) / (CHEEK_FULL - CHEEK_BEGINS))
    outward = smoothstep((side * upright[..., 0] - TEMPLE_BEGINS) / (BEGINS - TEMPLE_BEGINS))
    rim = smoothstep((RIM - depth) / (0.4 * RIM))
    alpha = need * rim * outward * (1 - below) * (1 - protected)
    # Bilinear reading looks a pixel or two beyond the outline.
    alpha[cv2.dilate(face, np.ones((7, 7), np.uint8)) == 0] = 0
    pixels = image.astype(np.float64)
    light = pixels.mean(2)
    inner = temple & (depth > 0.8 * RIM) & (depth < 0.8 * RIM + 0.45) & (opening == 0)
    if not inner.any() or not (alpha > 0).any():
        return Rim(0, 0, image[:1, :1], image[:1, :1])
    typical = np.median(light[inner])
    skin = (inner & (light > 0.8 * typical) & (light < 1.3 * typical)).astype(np.float64)
    sigma = 0.12 * scale
    weight = cv2.GaussianBlur(skin, (0, 0), sigma)[..., None] + 1e-4
    average = (pixels * skin[..., None]).sum((0, 1)) / max(skin.sum(), 1.0)
    spread = cv2.GaussianBlur(pixels * skin[..., None], (0, 0), sigma) + 1e-4 * average
    clean = pixels + (spread / weight - pixels) * alpha[..., None]
    shown = np.argwhere(alpha > 0)
    (top, left), (bottom, right) = shown.min(0), shown.max(0) + 1
    box = np.s_[top:bottom, left:right]
    return Rim(int(left), int(top), image[box].copy(), clean[box].clip(0, 255).astype(np.uint8))
