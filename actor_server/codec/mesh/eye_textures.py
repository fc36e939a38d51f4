"""What an eye needs to look elsewhere and to close: eyeball, whole iris, closed lid.

Shapes: patches are (h, w, ...) cut from the crop round one eye. Units: crop pixels.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.expression import Eye
from actor_server.codec.mesh.iris_fit import fit_iris
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image
from actor_server.codec.mesh.shaping import polygon_mask, ring, smoothstep
from actor_server.codec.mesh.whites import as_white, brightest

IRIS_RINGS: Final = 10  # resolution of the mean radial colour behind the lids
# From this many iris radii outwards what is seen of the eye (corner, white) stays as it is; nearer
# in, the clean white shows when the iris moves away.
KEEP_FROM: Final = 1.30
KEEP_WHOLLY: Final = 1.55

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EyeTextures:
    """Layers of one eye."""

    origin: tuple[int, int]  # x, y of the patches in the crop
    width: float  # corner to corner
    still: Image  # (h, w, 4) what is seen of the portrait's own eye, for a gaze near its own
    eyeball: Image  # (h, w, 4) the white, continued under iris and lids
    iris: Image  # (h, w, 4) the whole disc
    closed_lid: Image  # (h, w, 3) skin where the open eye was
    lash: NDArray[np.float64]  # (3,) colour of the upper lash line

    @classmethod
    def build(cls, image: Image, landmarks: Points, eye: Eye) -> Self:
        upper, lower = landmarks[eye.upper, :2], landmarks[eye.lower, :2]
        opening = ring(upper, lower)
        width = float(np.linalg.norm(upper[0] - upper[-1]))
        size = image.shape[0]
        centre = opening.mean(0)
        reach = np.array([0.75 * width, 0.6 * width])
        low = np.clip((centre - reach).astype(int), 0, size - 8)
        high = np.clip((centre + reach).astype(int), low + 8, size)
        patch = image[low[1] : high[1], low[0] : high[0]]
        visible = polygon_mask(patch.shape[:2], opening - low) > 0
        iris_centre = landmarks[eye.iris[0], :2] - low
        rim = landmarks[eye.iris[1:], :2] - landmarks[eye.iris[0], :2]
        radius = float(np.linalg.norm(rim, axis=1).mean())
        inner = cv2.erode(visible.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        iris_centre, radius = fit_iris(patch.mean(2), inner, iris_centre, radius)
        return cls(
            origin=(int(low[0]), int(low[1])),
            width=width,
            still=_seen(patch, visible),
            eyeball=_eyeball(patch, visible, iris_centre, radius, width),
            iris=_iris(patch, inner, iris_centre, radius),
            closed_lid=_closed_lid(patch, landmarks[:, :2] - low, eye, width),
            lash=_lash_colour(image, upper),
        )


def _distance(shape: tuple[int, ...], centre: Points) -> NDArray[np.float64]:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance: NDArray[np.float64] = np.hypot(columns - centre[0], rows - centre[1])
    return distance


def _opaque(patch: Image) -> Image:
    return np.dstack([patch, np.full(patch.shape[:2], 255, np.uint8)])


def _seen(patch: Image, visible: Bools) -> Image:
    mask = cv2.dilate(visible.astype(np.uint8) * 255, np.ones((3, 3), np.uint8))
    return np.dstack([patch, np.asarray(mask, np.uint8)])


def _eyeball(
    patch: Image, visible: Bools, iris_centre: Points, radius: float, width: float
) -> Image:
    """Continue the visible white smoothly under the iris and the lids."""
    distance = _distance(patch.shape, iris_centre)
    pixels = patch.astype(np.float64)
    lit = brightest(patch[visible])
    light, colour = pixels.mean(2), np.ptp(pixels * (lit.mean() / np.maximum(lit, 1.0)), axis=2)
    around = visible & (distance > radius * 1.12)
    white = around.copy()
    if around.sum() >= 12:
        # Lid edges, lashes and the pink corner are darker or more colourful than the white.
        white &= light > 0.72 * np.percentile(light[around], 90)
        white &= colour < np.percentile(colour[around], 60) + 12
    if white.sum() < 6:
        filled = np.broadcast_to(lit, patch.shape)
    else:
        sigma = width * 0.12
        weight = cv2.GaussianBlur(white.astype(np.float64), (0, 0), sigma)[..., None]
        blurred = cv2.GaussianBlur(pixels * white[..., None], (0, 0), sigma)
        local = np.clip(weight / 0.08, 0, 1)
        filled = blurred / np.maximum(weight, 1e-6) * local + pixels[white].mean(0) * (1 - local)
    filled = as_white(filled, 0.7 * float(np.median(light[~visible])))
    seen = cv2.GaussianBlur(visible.astype(np.float64), (0, 0), 0.7)
    keep = seen * smoothstep((distance / radius - KEEP_FROM) / (KEEP_WHOLLY - KEEP_FROM))
    ball = pixels * keep[..., None] + filled * (1 - keep[..., None])
    return _opaque(ball.clip(0, 255).astype(np.uint8))


def _iris(patch: Image, visible: Bools, centre: Points, radius: float) -> Image:
    """Complete the disc: mirror what is hidden from below or above, else the mean ring colour."""
    pixels = patch.astype(np.float32)
    distance = _distance(patch.shape, centre)
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]].astype(np.float32)
    flip_y = (2 * centre[1] - rows).astype(np.float32)
    flipped = cv2.remap(pixels, columns, flip_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.remap(visible.astype(np.float32), columns, flip_y, cv2.INTER_LINEAR) > 0.9
    rings = np.zeros_like(pixels)
    edges = radius * 1.15 * np.arange(IRIS_RINGS + 1) / IRIS_RINGS
    disc = visible & (distance < radius)
    fallback = pixels[disc].mean(0) if disc.any() else np.full(3, 60, np.float32)
    for inside, outside in pairwise(edges):
        band = (distance >= inside) & (distance < outside)
        known = band & visible
        rings[band] = pixels[known].mean(0) if known.sum() > 2 else fallback
    whole = np.where(visible[..., None], pixels, np.where(seen[..., None], flipped, rings))
    alpha = smoothstep((radius * 1.06 - distance) / (radius * 0.16 + 0.8))
    return np.dstack([whole, alpha * 255]).clip(0, 255).astype(np.uint8)


def _closed_lid(patch: Image, landmarks: Points, eye: Eye, width: float) -> Image:
    """Inpaint skin over eye and lashes, shaded like a lid over an eyeball."""
    upper, lower, crease = landmarks[eye.upper], landmarks[eye.lower], landmarks[eye.crease]
    top = upper.copy()
    top[1:-1] = upper[1:-1] * 0.45 + crease * 0.55
    grow = 2 * int(width * 0.09) + 1
    covered = cv2.dilate(
        polygon_mask(patch.shape[:2], ring(top, lower)),
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow)),
    )
    fold = np.zeros_like(covered)
    points = [np.round(crease[1:-1]).astype(np.int32)]
    cv2.polylines(fold, points, isClosed=False, color=255, thickness=max(2, int(width * 0.06)))
    fold[covered > 0] = 0
    skin = _skin_across(patch, covered > 0, fold > 0, width)
    columns = np.arange(patch.shape[1])
    rows = np.arange(patch.shape[0])[:, None]
    low, high = _curve(columns, lower), _curve(columns, top)
    down = np.clip((rows - high) / (low - high + 1e-3), 0, 1)
    curve = 0.06 * np.sin(np.pi * down) - 0.12 * down**3
    inside = cv2.GaussianBlur(covered.astype(np.float64) / 255, (0, 0), max(width * 0.03, 0.3))
    skin *= (1 + curve * inside)[..., None]
    detail = patch.astype(np.float64) - cv2.GaussianBlur(patch, (0, 0), 1.5)
    grain = min(float(detail[fold > 0].std()) if (fold > 0).any() else 2.0, 5.0) * 0.5
    skin += np.random.default_rng(0).normal(0, grain, skin.shape[:2])[..., None]
    return skin.clip(0, 255).astype(np.uint8)


def _skin_across(patch: Image, covered: Bools, fold: Bools, width: float) -> NDArray[np.float64]:
    """Spread the lit skin round the eye over it; lashes, brow and deep shadows take no part."""
    light = patch.mean(2)
    lids = light[fold] if fold.sum() > 5 else light[~covered]
    # A lid comes forward out of the socket's shadow: no darker than most skin round the eye.
    typical = max(float(np.median(lids)), 0.78 * float(np.median(light[~covered])))
    lit = ~covered & (light > 0.85 * typical) & (light < 1.4 * typical)
    near = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=6) > 0
    known = (lit & near).astype(np.float64) + 3.0 * (fold & lit)
    sigma = 0.16 * width
    weight = cv2.GaussianBlur(known, (0, 0), sigma)
    spread = cv2.GaussianBlur(patch * known[..., None], (0, 0), sigma)
    overall = (patch * known[..., None]).sum((0, 1)) / max(known.sum(), 1e-6)
    trust = np.clip(weight / 0.05, 0, 1)[..., None]
    skin = spread / np.maximum(weight, 1e-6)[..., None] * trust + overall * (1 - trust)
    blend = cv2.GaussianBlur(covered.astype(np.float64), (0, 0), max(width * 0.03, 0.3))[..., None]
    return np.asarray(patch * (1 - blend) + skin * blend, np.float64)


def _curve(columns: NDArray[np.int64], row: Points) -> NDArray[np.float64]:
    order = np.argsort(row[:, 0])
    return np.asarray(np.interp(columns, row[order, 0], row[order, 1]), np.float64)


def _lash_colour(image: Image, upper: Points) -> NDArray[np.float64]:
    """Return the mean of the darkest few pixels along the upper lid."""
    at = np.clip(np.round(upper).astype(int) - [0, 1], 0, image.shape[0] - 1)
    pixels = image[at[:, 1], at[:, 0]].astype(np.float64)
    darkest: NDArray[np.float64] = pixels[np.argsort(pixels.mean(1))[:4]].mean(0)
    return darkest
