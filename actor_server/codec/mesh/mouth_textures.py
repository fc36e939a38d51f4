"""What is inside a mouth: cavity, tongue and two rows of teeth, tinted to the portrait.

Shapes: textures are (96, 128, 4) RGBA uint8; x runs over the mouth from corner to corner.
"""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.lip_seam import lips_open
from actor_server.codec.mesh.prepared import Image, PreparedPortrait
from actor_server.codec.mesh.shaping import index, polygon_mask, ring, smoothstep
from actor_server.codec.mesh.whites import eye_white

HEIGHT: Final = 96
WIDTH: Final = 128
# Widths and lengths of the teeth from the middle outwards, in half mouth widths and row heights.
UPPER_WIDTHS: Final = (0.205, 0.165, 0.17, 0.15, 0.13, 0.11)
LOWER_WIDTHS: Final = (0.135, 0.14, 0.155, 0.15, 0.14, 0.12)
UPPER_LENGTHS: Final = (0.97, 0.93, 0.94, 0.86, 0.79, 0.72)
LOWER_LENGTHS: Final = (0.92, 0.93, 0.94, 0.88, 0.80, 0.70)
# How far tooth edges round off between neighbours (row heights), and how dark the gap is. Drawn as
# deep as they are, they read as beads or braces on a frame of 256 pixels.
UPPER_NOTCH, LOWER_NOTCH = 0.06, 0.03
UPPER_GAP, LOWER_GAP = 0.10, 0.05
# No two neighbours reflect the same light.
TOOTH_SHADES: Final = (1.0, 0.965, 0.90, 0.84, 0.78, 0.72)
ENAMEL: Final = (226.0, 216.0, 200.0)
GUM: Final = (168.0, 100.0, 104.0)
TONGUE: Final = (138.0, 66.0, 72.0)
CAVITY_DARK: Final = (24.0, 9.0, 10.0)
CAVITY_RED: Final = (58.0, 20.0, 26.0)
LINING_SHADE: Final = 0.42
LINING_TINT: Final = (1.12, 0.84, 0.87)  # light that fell through and between lips
LOWER_LIP_PX: Final = 2  # of an open mouth's lower edge are the lip's, which goes with the jaw
EYE_WHITE: Final = 190.0  # mean of RGB where light is full
# Whites of eyes in white light are within these of their mean, and teeth follow half of it.
CASTS_OF_EYES: Final = ((1.0, 0.95, 0.81), (1.21, 1.03, 1.0))
TINTS_OF_EYES: Final = (0.9, 1.1)
# Mean red (LAB) of the face below which a portrait counts as greyish: skin of any tone has 8 and
# more, sepia and old prints are yellow, not red.
GREY_RED: Final = 6.0


@dataclass(frozen=True)
class MouthTextures:
    """The layers of a mouth from back to front, and the portrait's own teeth when they show."""

    layers: Image  # (4, 96, 128, 4): cavity, tongue, lower teeth, upper teeth
    lining: NDArray[np.float64]  # (3,) colour of the inner lips in their own shade
    # (h, w, 4) the open mouth of the portrait itself, 1x1 transparent when closed. Alpha: 255
    # inside, 128 where it is lip, 0 outside.
    own: Image
    own_origin: tuple[int, int]  # x, y of `own` in the crop
    own_edge: float | None  # how far its teeth reach below the middle of the lips, mouth widths

    @classmethod
    def build(cls, portrait: PreparedPortrait, geometry: FaceGeometry) -> Self:
        landmarks = geometry.vertices[: topology.LANDMARKS]
        layers = [_cavity(), _tongue(), _teeth(upper=False), _teeth(upper=True)]
        skin = skin_colour(portrait.image, landmarks)
        white = eye_white(portrait.image, landmarks)
        light = float(np.clip(max(skin.mean() / 170, white.mean() / EYE_WHITE), 0.1, 1.05))
        own, origin, enamel, edge = _own_mouth(portrait, geometry, skin)
        colour = _redness(portrait.image, landmarks, white)
        painted = []
        for number, layer in enumerate(layers):
            grey = layer[..., :3] @ np.array([0.299, 0.587, 0.114])
            rgb = layer[..., :3] * colour + grey[..., None] * (1 - colour)
            rgb *= light * _tint(white)
            if enamel is not None and number >= 2:
                rgb *= np.clip(enamel / np.maximum(rgb[HEIGHT // 2, 54:74].mean(0), 1), 0.5, 1.3)
            painted.append(np.dstack([rgb, layer[..., 3]]).clip(0, 255).astype(np.uint8))
        shade = LINING_SHADE * (1 + colour * (np.array(LINING_TINT) - 1))
        lining = _lip_colour(portrait.image, landmarks) * shade
        return cls(np.stack(painted), lining, own, origin, edge)


def skin_colour(image: Image, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (3,) mean colour of the cheeks."""
    cheeks = np.clip(landmarks[[50, 280, 205, 425], :2].astype(int), 2, image.shape[0] - 3)
    patches = [image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3) for x, y in cheeks]
    colour: NDArray[np.float64] = np.concatenate(patches).astype(np.float64).mean(0)
    return colour


def _tint(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3,) share of each colour in the light, at most 1: half of what a white thing
    shows of it as far as eyes differ, all of it beyond."""
    cast = white / max(white.mean(), 1.0)
    tint = np.clip(cast**0.5, *TINTS_OF_EYES) * (cast / np.clip(cast, *CASTS_OF_EYES))
    return np.asarray(tint / tint.max(), np.float64)


def _lip_colour(image: Image, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (3,) median colour of the lower lip."""
    inner, outer = index(topology.LIP_INNER_LOWER), index(topology.LIP_OUTER_LOWER)
    lip = polygon_mask(image.shape[:2], ring(landmarks[inner, :2], landmarks[outer, :2])) > 0
    return np.asarray(np.median(image[lip].astype(np.float64), axis=0), np.float64)


def _redness(image: Image, landmarks: NDArray[np.floating], white: NDArray[np.float64]) -> float:
    """Return 0 for a picture without red in the face .. 1 for skin, also in a light without red."""
    oval = polygon_mask(image.shape[:2], landmarks[index(topology.FACE_OVAL), :2]) > 0
    face = np.asarray(image[oval][None] / 255, np.float32)
    in_white_light = (face * (white.mean() / np.maximum(white, 1.0))).clip(0, 1)
    red = max(_red(face), _red(in_white_light.astype(np.float32)))
    return float(np.clip(red / GREY_RED, 0, 1))


def _red(pixels: NDArray[np.float32]) -> float:
    """Return the mean red (LAB's a) of (1, N, 3) pixels, 0 .. 1."""
    return float(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., 1].mean())


def _own_mouth(
    portrait: PreparedPortrait, geometry: FaceGeometry, skin: NDArray[np.float64]
) -> tuple[Image, tuple[int, int], NDArray[np.float64] | None, float | None]:
    """Return the portrait's open mouth, its place, and colour and lower edge of teeth if seen."""
    landmarks = geometry.vertices[: topology.LANDMARKS]
    upper, lower = index(topology.LIP_INNER_UPPER), index(topology.LIP_INNER_LOWER)
    if not lips_open(landmarks, geometry.down, geometry.alignment.scale):
        return np.zeros((1, 1, 4), np.uint8), (0, 0), None, None
    outline = ring(landmarks[upper, :2], landmarks[lower, :2])
    inside = polygon_mask(portrait.image.shape[:2], outline)
    inner = inside & np.roll(inside, -LOWER_LIP_PX, axis=0)
    seen = cv2.GaussianBlur(cv2.dilate(inside, np.ones((5, 5), np.uint8)), (0, 0), 1.0)
    alpha = np.asarray(seen // 2 + cv2.GaussianBlur(inner, (0, 0), 1.0) // 2 + 1, np.uint8)
    x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - 6, 0)
    x1, y1 = np.ceil(outline.max(0)).astype(int) + 7
    own = np.dstack([portrait.image, alpha])[y0:y1, x0:x1].copy()
    pixels = portrait.image[inside > 0].astype(np.float64)
    light = pixels.mean(1)
    if not len(pixels) or np.percentile(light, 85) <= 0.6 * skin.mean():
        return own, (int(x0), int(y0)), None, None
    enamel = pixels[light >= np.percentile(light, 70)].mean(0)
    middle = (landmarks[upper[5], :2] + landmarks[lower[5], :2]) / 2
    width = np.linalg.norm(np.subtract(*landmarks[list(topology.OUTER_CORNERS), :2]))
    places = np.argwhere(inside > 0)[light >= 0.75 * np.percentile(light, 85)][:, ::-1] - middle
    central = places[np.abs(places[:, 0]) < 0.12 * width]
    edge = float(np.percentile(central[:, 1], 95) / width) if len(central) else 0.0
    return own, (int(x0), int(y0)), enamel, edge


def _axes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.linspace(-1, 1, WIDTH)[None], np.linspace(0, 1, HEIGHT)[:, None]


def _layer(
    shade: NDArray[np.float64], colour: tuple[float, float, float], alpha: NDArray[np.float64]
) -> NDArray[np.float64]:
    shade, alpha = np.broadcast_arrays(shade, alpha)
    return np.dstack([shade[..., None] * np.array(colour), 255 * alpha])


def _cavity() -> NDArray[np.float64]:
    x, y = _axes()
    depth = np.clip(1 - x**2 * 0.55, 0, 1) * (0.35 + 0.65 * smoothstep(y * 1.2))
    colour = np.array(CAVITY_DARK) + depth[..., None] * np.array(CAVITY_RED)
    return np.dstack([colour, np.full((HEIGHT, WIDTH), 255.0)])


def _tongue() -> NDArray[np.float64]:
    x, y = _axes()
    rim = (x / 0.72) ** 2 + ((y - 1.0) / 0.78) ** 2
    light = 0.55 + 0.45 * smoothstep(1 - np.abs(y - 0.55) * 1.6)
    groove = 1 - 0.08 * np.exp(-((x / 0.09) ** 2))
    return _layer(light * groove, TONGUE, smoothstep((1 - rim) * 1.6))


def _teeth(upper: bool) -> NDArray[np.float64]:
    x, y = _axes()
    widths = np.array(UPPER_WIDTHS if upper else LOWER_WIDTHS)
    lengths = np.array(UPPER_LENGTHS if upper else LOWER_LENGTHS)
    borders = np.concatenate([[0], np.cumsum(widths)])
    side = np.abs(x)
    tooth = np.clip(np.searchsorted(borders, side) - 1, 0, len(widths) - 1)
    across = (side - borders[tooth]) / widths[tooth]
    from_gum = y if upper else 1 - y
    notch, gap = (UPPER_NOTCH, UPPER_GAP) if upper else (LOWER_NOTCH, LOWER_GAP)
    edge = lengths[tooth] - notch * np.abs(2 * across - 1) ** 3
    alpha = smoothstep((edge - from_gum) / 0.12) * (side < borders[-1])
    distance = np.minimum(across, 1 - across) * widths[tooth]
    between = np.exp(-((distance / 0.014) ** 2)) * (0.35 + 0.65 * smoothstep((from_gum - 0.2) * 2))
    round_ = 1 - 0.06 * (2 * across - 1) ** 2
    arch = np.clip(1 - side**2 * 0.72, 0.12, 1)
    under_lip = 0.72 + 0.28 * smoothstep(from_gum * 1.5)
    tip = 1 - 0.07 * smoothstep((from_gum - edge + 0.18) / 0.18)
    shade = arch * under_lip * round_ * tip * np.array(TOOTH_SHADES)[tooth] * (1 - gap * between)
    gum = smoothstep((0.20 - from_gum) / 0.12)[..., None]
    colour = np.array(ENAMEL) * (1 - gum) + np.array(GUM) * gum
    rgb = shade[..., None] * colour * (1.0 if upper else 0.72)
    return np.dstack([rgb, 255 * np.broadcast_to(alpha, shade.shape)])
