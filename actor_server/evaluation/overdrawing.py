"""Make another kind of portrait out of one: things worn or held, other places, other media.

Shapes: every function takes a prepared portrait and returns a picture, (512, 512, 3) RGB unless it
says otherwise. Sizes follow the distance between the irises.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.prepared import CROP_SIZE, Image, PreparedPortrait
from actor_server.codec.mesh.shaping import index, smoothstep

FINE: Final = 4  # drawn in sixteenths of a pixel
FRAME_INK: Final = (38, 30, 28)
WIDE_PICTURE: Final = (720, 1280)  # rows, columns
FAR_SHARE: Final = 0.5  # of the wide picture's height that the portrait takes
SHADES: Final = 6  # of a cartoon
CHEEK: Final = 425  # the landmark in the middle of the left one
CLOTH: Final = np.array((96.0, 118.0, 150.0))
LAMP: Final = (1.0, 0.74, 0.42)
SCREEN: Final = (0.55, 0.78, 1.0)
"""Shares of red, green and blue that are left: of a bulb at home, of a monitor in the dark."""

Floats = NDArray[np.float64]


def glasses(portrait: PreparedPortrait, opacity: float = 0.06) -> Image:
    """Rims, bridge and temples, a shadow on the skin, lenses of an opacity."""
    picture = portrait.image.astype(np.float64)
    centres = [_eye_centre(portrait, index) for index in range(2)]
    between = _iris_distance(portrait)
    along = (centres[1] - centres[0]) / np.linalg.norm(centres[1] - centres[0])
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    lens, rim = _blank(), _blank()
    thickness = max(2, round(0.05 * between))
    size = (round(0.41 * between * 16), round(0.33 * between * 16))
    for centre, ear, side in zip(centres, topology.EARS, (-1, 1), strict=True):
        place = _fine(centre)
        cv2.ellipse(lens, place, size, angle, 0, 360, 255, -1, cv2.LINE_AA, FINE)
        cv2.ellipse(rim, place, size, angle, 0, 360, 255, thickness, cv2.LINE_AA, FINE)
        hinge = centre + side * 0.41 * between * along
        end = portrait.landmarks[ear, :2] + side * 0.05 * between * along
        cv2.line(rim, _fine(hinge), _fine(end), 255, thickness, cv2.LINE_AA, FINE)
    nose = [centres[0] + 0.41 * between * along, centres[1] - 0.41 * between * along]
    cv2.line(rim, _fine(nose[0]), _fine(nose[1]), 255, thickness, cv2.LINE_AA, FINE)
    shadow = cv2.GaussianBlur(np.roll(rim, thickness, 0), (0, 0), 0.8 * thickness)
    picture = _mix(picture, np.zeros(3), shadow * 0.35)
    picture = _mix(picture, np.array((24.0, 26.0, 32.0)), lens * opacity)
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    glint = np.exp(-(((rows + columns - centres[0].sum()) / (0.12 * between)) ** 2))
    glint += np.exp(-(((rows + columns - centres[1].sum()) / (0.12 * between)) ** 2))
    picture = _mix(picture, np.full(3, 255.0), lens * np.clip(glint, 0, 1) * 0.14)
    return _picture(_mix(picture, np.array(FRAME_INK, np.float64), rim))


def microphone(portrait: PreparedPortrait) -> Image:
    """A microphone held from below, its head before one half of the lips."""
    between = _iris_distance(portrait)
    lip = portrait.landmarks[topology.OUTER_LIP_BOTTOM, :2]
    centre = lip + np.array([0.16, 0.02]) * between
    radius = 0.34 * between
    body, head = _blank(), _blank()
    down = np.array([0.35, 1.0]) / np.hypot(0.35, 1.0)
    end, across = centre + down * CROP_SIZE, np.array([down[1], -down[0]])
    corners = [centre + 0.7 * radius * across, end + 0.45 * radius * across]
    corners += [end - 0.45 * radius * across, centre - 0.7 * radius * across]
    cv2.fillPoly(body, [np.array([_fine(c) for c in corners], np.int32)], 255, cv2.LINE_AA, FINE)
    cv2.circle(head, _fine(centre), round(radius * 16), 255, -1, cv2.LINE_AA, FINE)
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    light = np.exp(
        -np.hypot(columns - centre[0] + 0.3 * radius, rows - centre[1] + 0.4 * radius) / radius
    )
    mesh = 0.75 + 0.25 * np.cos(rows * 2.1) * np.cos(columns * 2.1)
    grille = (light * mesh * 190)[..., None] * np.ones(3)
    picture = _mix(portrait.image.astype(np.float64), np.full(3, 34.0), body.astype(np.float64))
    return _picture(_mix(picture, grille, head.astype(np.float64)))


def hand(portrait: PreparedPortrait) -> Image:
    """A hand on the chin, in the skin's own colour, fingers over one corner of the lips."""
    unit = _iris_distance(portrait)
    corner = portrait.landmarks[topology.OUTER_CORNERS[1], :2]
    x, y = portrait.landmarks[CHEEK, :2].astype(int)
    skin = portrait.image[y - 4 : y + 5, x - 4 : x + 5].mean((0, 1))

    def place(right: float, down: float) -> Floats:
        beside: Floats = corner + unit * np.array((right, down))
        return beside

    picture = portrait.image.astype(np.float64)
    palm = [place(*at) for at in ((0.2, 0.4), (0.75, 0.5), (1.6, 2.4), (0.8, 2.4), (0.5, 1.5))]
    picture = _mix(picture, 0.9 * skin, cv2.GaussianBlur(_filled(palm), (0, 0), 0.04 * unit))
    for finger in (3, 2, 1, 0):  # the uppermost lies over the others
        tip = place(0.03 * finger - 0.28, 0.17 * finger - 0.02)
        root = place(0.03 * finger + 0.55, 0.17 * finger + 0.62)
        for width, shade in ((0.21, 0.62), (0.18, 0.95), (0.08, 1.06)):
            shape = _blank()
            cv2.line(shape, _fine(tip), _fine(root), 255, round(width * unit), cv2.LINE_AA, FINE)
            soft = cv2.GaussianBlur(shape, (0, 0), 0.012 * unit)
            picture = _mix(picture, shade * skin, soft)
    return _picture(picture)


def headscarf(portrait: PreparedPortrait) -> Image:
    """Cloth over hair, ears and neck; the face from brows to chin stays free."""
    unit = _iris_distance(portrait)
    oval = portrait.landmarks[index(topology.FACE_OVAL), :2]
    middle = oval.mean(0)
    hood = middle + (oval - middle) * np.array((1.6, 1.6)) - np.array((0, 0.2 * unit))
    left, right = hood[np.argmin(hood[:, 0])], hood[np.argmax(hood[:, 0])]
    cape = [left, right, *(middle + unit * np.array((x, 5.0)) for x in (2.6, -2.6))]
    cloth = np.maximum(_filled(list(hood)), _filled(cape))
    face = _filled(list(middle + (oval - middle) * np.array((0.97, 0.93))))
    free = 1 - cv2.GaussianBlur(face, (0, 0), 1.5) / 255.0
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    around = np.arctan2(rows - middle[1], columns - middle[0])
    away = np.hypot(rows - middle[1], columns - middle[0]) / unit
    folds = 0.86 + 0.07 * np.sin(7 * around + 2 * away) + 0.04 * np.sin(15 * around - 4 * away)
    cover = cv2.GaussianBlur(cloth, (0, 0), 1.5) * free
    return _picture(_mix(portrait.image.astype(np.float64), folds[..., None] * CLOTH, cover))


def far_away(portrait: PreparedPortrait) -> Image:
    """Return (720, 1280, 3): the portrait small at the lower edge, its background gone on."""
    height, width = WIDE_PICTURE
    side = round(height * FAR_SHARE)
    small = cv2.resize(portrait.image, (side, side), interpolation=cv2.INTER_AREA)
    left = (width - side) // 2
    wide = cv2.copyMakeBorder(
        small, height - side, 0, left, width - side - left, cv2.BORDER_REPLICATE
    )
    soft = cv2.GaussianBlur(wide, (0, 0), 9)
    soft[height - side :, left : left + side] = small
    return np.asarray(soft, np.uint8)


def before_shelves(portrait: PreparedPortrait) -> Image:
    """The person cut out, before rows of coloured spines under a bright lamp."""
    dice = np.random.default_rng(5)
    shelves = np.full((CROP_SIZE, CROP_SIZE, 3), 70.0)
    for top in range(0, CROP_SIZE, 128):
        left = 0
        while left < CROP_SIZE:
            wide, tall = int(dice.integers(8, 30)), int(dice.integers(80, 116))
            colour = dice.uniform(30, 235, 3)
            shelves[top + 116 - tall : top + 116, left : left + wide] = colour
            shelves[top + 116 - tall // 2 : top + 120 - tall // 2, left : left + wide] = (
                245 - colour
            )
            left += wide + 1
    lamp = np.hypot(*(np.mgrid[:CROP_SIZE, :CROP_SIZE] - np.array([90, 410])[:, None, None])) / 60
    shelves += 200 * np.exp(-(lamp**2))[..., None]
    cover = smoothstep((portrait.person - 0.25) / 0.5)
    return _picture(_mix(shelves, portrait.image.astype(np.float64), cover * 255))


def oil_painting(portrait: PreparedPortrait) -> Image:
    strokes = cv2.stylization(portrait.image, sigma_s=40, sigma_r=0.4)
    rough = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 26, strokes.shape[:2]), (0, 0), 1.2)
    return _picture(strokes + rough[..., None])


def cartoon(portrait: PreparedPortrait) -> Image:
    flat = portrait.image
    for _ in range(5):
        flat = np.asarray(cv2.bilateralFilter(flat, 9, 40, 9), np.uint8)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV).astype(np.float64)
    hsv[..., 1] *= 1.35
    hsv[..., 2] = (np.floor(hsv[..., 2] / 256 * SHADES) + 0.6) / SHADES * 255
    flat = np.asarray(cv2.cvtColor(_picture(hsv), cv2.COLOR_HSV2RGB), np.uint8)
    grey = cv2.medianBlur(cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY), 5)
    lines = cv2.adaptiveThreshold(
        grey, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, 13, 6
    )
    return _picture(_mix(flat.astype(np.float64), np.full(3, 25.0), lines.astype(np.float64)))


def old_photograph(portrait: PreparedPortrait) -> Image:
    grey = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    grey += np.random.default_rng(2).normal(0, 7, grey.shape)
    return _picture(grey[..., None] * np.array((1.02, 0.99, 0.92)))


def pencil(portrait: PreparedPortrait) -> Image:
    grey, _ = cv2.pencilSketch(portrait.image, sigma_s=50, sigma_r=0.08, shade_factor=0.04)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def in_light(portrait: PreparedPortrait, colour: tuple[float, float, float]) -> Image:
    """The same in coloured light."""
    return _picture(portrait.image * np.array(colour))


def dim(portrait: PreparedPortrait) -> Image:
    noise = np.random.default_rng(3).normal(0, 5, portrait.image.shape)
    return _picture(portrait.image * 0.33 + noise)


def _blank() -> NDArray[np.uint8]:
    return np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)


def _filled(outline: list[Floats]) -> NDArray[np.uint8]:
    """An area of 255."""
    area = _blank()
    corners = np.array([_fine(corner) for corner in outline], np.int32)
    cv2.fillPoly(area, [corners], 255, cv2.LINE_AA, FINE)
    return area


def _fine(point: Floats) -> tuple[int, int]:
    return round(float(point[0]) * 16), round(float(point[1]) * 16)


def _mix(under: Floats, over: Floats, cover: NDArray[np.generic]) -> Floats:
    """Lay (3,) or (h, w, 3) over (h, w, 3) with a cover (h, w) of 0 to 255."""
    share = np.asarray(cover, np.float64)[..., None] / 255
    mixed: Floats = under + (over - under) * share
    return mixed


def _picture(values: Floats) -> Image:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _eye_centre(portrait: PreparedPortrait, eye: int) -> Floats:
    opening = np.concatenate([EYES[eye].upper, EYES[eye].lower])
    lower = 0.06 * _iris_distance(portrait)
    centre: Floats = portrait.landmarks[opening, :2].mean(0) + np.array([0.0, lower])
    return centre


def _iris_distance(portrait: PreparedPortrait) -> float:
    right, left = (portrait.landmarks[eye.iris[0], :2] for eye in EYES)
    return float(np.linalg.norm(right - left))
