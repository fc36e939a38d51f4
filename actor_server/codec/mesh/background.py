"""Split the crop into the moving person and the still background behind."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import CROP_SIZE, FRAME_SIZE, Image, Mask, PreparedPortrait
from actor_server.codec.mesh.shaping import index, polygon_mask, smoothstep

# With less of the crop than this on the person, the outline cannot be trusted: move everything.
LEAST_COVER: Final = 0.15
ALPHA_STEP: Final = 0.5 / 255  # less opacity than this rounds to none
HAIR_REACH_PX: Final = 22
HAIR_DIFFERENCE: Final = 8  # grey levels from a smooth background at which hair begins to count
ROUGH: Final = 8.0  # mean detail in grey levels of a background that hides hair
INPAINT_SIZE: Final = 128  # the background behind a head is only ever glimpsed at its edges


def person_alpha(portrait: PreparedPortrait) -> Mask:
    """Return (512, 512) opacity of the moving layer; the face itself is always opaque."""
    alpha = smoothstep((portrait.person - 0.25) / 0.5)
    alpha = np.maximum(alpha, _stray_hair(portrait.image, alpha > 0.5))
    oval = portrait.landmarks[index(topology.FACE_OVAL), :2].astype(np.float32)
    hull = np.asarray(cv2.convexHull(oval), np.float32)[:, 0]
    face = polygon_mask((CROP_SIZE, CROP_SIZE), hull)
    alpha = np.maximum(alpha, cv2.GaussianBlur(face, (0, 0), 3) / 255.0)
    if alpha.mean() < LEAST_COVER:
        alpha = np.ones_like(alpha)
    return alpha.astype(np.float32)


def _stray_hair(image: Image, person: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (512, 512) opacity of what stands out from a plain background close to the person.

    The segmentation cuts hair off smoothly. Its tips would stay behind when the head moves.
    """
    near = np.asarray(cv2.dilate(person.astype(np.uint8), _disc(HAIR_REACH_PX)), np.uint8)
    detail = np.abs(image - cv2.GaussianBlur(image, (0, 0), 4).astype(np.float64)).mean(2)
    open_ = (near == 0).astype(np.float64)
    weight = cv2.GaussianBlur(open_, (0, 0), HAIR_REACH_PX)
    rough = cv2.GaussianBlur(detail * open_, (0, 0), HAIR_REACH_PX) / np.maximum(weight, 1e-6)
    plain = smoothstep((ROUGH - rough) / 2) * smoothstep(weight / 0.02)
    difference = np.abs(image - _paint_out(image, near).astype(np.float64)).max(2)
    stands_out = np.clip((difference - HAIR_DIFFERENCE - 3 * rough) / 24, 0, 1)
    return np.asarray(stands_out * plain * near, np.float64)


def _disc(radius: int) -> NDArray[np.uint8]:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _paint_out(image: Image, mask: NDArray[np.uint8]) -> Image:
    """Return the (512, 512, 3) picture with what is masked filled from around it, blurred."""
    small = cv2.resize(image, (INPAINT_SIZE, INPAINT_SIZE), interpolation=cv2.INTER_AREA)
    hidden = cv2.resize(mask, (INPAINT_SIZE, INPAINT_SIZE), interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(small, hidden, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(filled, (0, 0), 3), np.uint8)


def empty_background(image: Image, alpha: Mask) -> Image:
    """Return (256, 256, 3): the crop with the person painted out."""
    person = cv2.dilate((alpha > 0.08).astype(np.uint8), np.ones((11, 11), np.uint8))
    filled = _paint_out(image, np.asarray(person, np.uint8))
    blend = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 2)[..., None]
    whole = (image * (1 - blend) + filled * blend).astype(np.uint8)
    return np.asarray(
        cv2.resize(whole, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA), np.uint8
    )


def triangles_in_sight(
    alpha: Mask, vertices: Points, triangles: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return the (T, 3) triangles that show any of the person; the rest would draw nothing."""
    corners = np.round(vertices[triangles, :2]).astype(np.int32)  # (T, 3, 2)
    low = np.clip(corners.min(1) - 1, 0, CROP_SIZE - 1)
    high = np.clip(corners.max(1) + 2, 1, CROP_SIZE)
    shown = [
        bool((alpha[y0:y1, x0:x1] > ALPHA_STEP).any())
        for (x0, y0), (x1, y1) in zip(low, high, strict=True)
    ]
    return np.asarray(triangles[np.array(shown)], np.int32)
