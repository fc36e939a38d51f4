"""Paint the eyeball behind the lids, and the closed lid with its lashes during a blink.

Shapes: the frame at twice its size, (512, 512, 4). Units: its pixels, which are crop pixels.
"""

from typing import Any, Final

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from actor_server.codec.mesh.expression import GAZE_UNIT, Eye
from actor_server.codec.mesh.eye_textures import EyeTextures
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import GAZE, Latent
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.raster import sample
from actor_server.codec.mesh.shaping import ring

# Within this gaze (units of the latent) the portrait's own eye fades into the layered one.
STILL_GAZE: Final = 0.14
LID_STARTS: Final = 0.08  # closure at which the closed lid begins to show
LASH_STARTS: Final = 0.10
LASH_OPACITY: Final = 0.82
# Thickness of the line of lashes from the outer corner to the inner one, and how far the soft
# ends of the lashes hang below it, eye widths.
LASH_LINE: Final = 0.055 * np.array([0.5, 0.95, 1.0, 0.95, 0.85, 0.72, 0.58, 0.42, 0.2])
LASH_FRINGE: Final = 0.10 * np.array([0.7, 1.0, 0.95, 0.8, 0.6, 0.42, 0.28, 0.15, 0.0])
FRINGE_OPACITY: Final = 0.4
# Closed-lid skin covers what is stretched at the fold by this much, wholly below this share.
FOLD_COVER: Final = 0.75
FOLD_SHARE: Final = 0.5
LOOK_SHADE: Final = 0.8  # of the lid's shade on an eye that looks elsewhere
CORNER_SHADE: Final = 0.28


def patch_map(geometry: FaceGeometry, eye: Eye, latent: Latent) -> NDArray[np.float64]:
    """Return the (2, 3) affine map from frame pixels to crop pixels of a rigid eye socket."""
    corners = geometry.vertices[[eye.upper[0], eye.upper[-1]]]
    below = corners.mean(0) + np.array([0.0, 20.0, 0.0])
    frame_points = np.vstack([corners, below])
    moved = geometry.turn_head(frame_points, latent)[:, :2]
    system = np.column_stack([moved, np.ones(3)])
    matrix: NDArray[np.float64] = np.linalg.solve(system, frame_points[:, :2]).T
    return matrix


def paint_eyeball(
    frame: NDArray[np.uint8],
    map_x: NDArray[np.float32],
    placed: Points,
    eye: Eye,
    textures: EyeTextures,
    socket: NDArray[np.float64],
    latent: Latent,
    closure: float,
) -> None:
    """Fill the uncovered pixels between the lids."""
    outline = ring(placed[eye.upper, :2], placed[eye.lower, :2])
    low, high = outline.min(0), outline.max(0)
    gaze = latent[GAZE].astype(np.float64) * (GAZE_UNIT * textures.width)
    _fill(
        frame,
        map_x,
        np.array([low[0] - 1, low[1] - 1, high[0] + 2, high[1] + 2]),
        socket - np.array([[0, 0, textures.origin[0]], [0, 0, textures.origin[1]]]),
        np.ascontiguousarray(placed[eye.upper, :2]),
        (textures.still, textures.eyeball, textures.iris),
        np.array([*gaze, textures.width, min(1.0, abs(closure) * 2.0), _still_share(latent)]),
    )


def _still_share(latent: Latent) -> float:
    """Return how much of the portrait's own eye shows: 1 at its own gaze and lids, else less."""
    distance = float(np.hypot(*latent[GAZE])) / STILL_GAZE
    return max(0.0, 1.0 - distance)


@njit(cache=True, nogil=True, fastmath=True)
def _fill(
    frame: NDArray[np.uint8],
    map_x: NDArray[np.float32],
    box: NDArray[np.float64],
    to_patch: NDArray[np.float64],
    upper: NDArray[np.float64],
    textures: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]],
    look: NDArray[np.float64],
) -> None:
    """Shade every uncovered pixel of one eye.

    Shapes: box (4,) left, top, right, bottom; upper lid (9, 2); textures still, eyeball and iris;
    look (5,) gaze x, gaze y, eye width, shade of the lid, share of the portrait's own eye.
    """
    still, eyeball, iris = textures
    width, still_share = look[2], look[4]
    drawn = 1 - still_share
    shading = max(look[3], LOOK_SHADE * drawn)
    last = upper.shape[0] - 1
    middle_x, middle_y = (upper[0, 0] + upper[last, 0]) / 2, (upper[0, 1] + upper[last, 1]) / 2
    axis_x, axis_y = upper[last, 0] - middle_x, upper[last, 1] - middle_y
    half_squared = axis_x**2 + axis_y**2 + 1e-6
    x0, x1 = max(0, int(box[0])), min(frame.shape[1] - 1, int(box[2]))
    y0, y1 = max(0, int(box[1])), min(frame.shape[0] - 1, int(box[3]))
    white = np.empty(4, np.float32)
    disc = np.empty(4, np.float32)
    own = np.empty(4, np.float32)
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            if map_x[y, x] > -1e3:
                continue
            u = to_patch[0, 0] * x + to_patch[0, 1] * y + to_patch[0, 2]
            v = to_patch[1, 0] * x + to_patch[1, 1] * y + to_patch[1, 2]
            u = min(max(u, 0.0), eyeball.shape[1] - 1.0)
            v = min(max(v, 0.0), eyeball.shape[0] - 1.0)
            sample(still, u, v, own)
            sample(eyeball, u, v, white)
            sample(iris, u - look[0], v - look[1], disc)
            alpha = disc[3] / 255
            nearest = 1e9
            for i in range(upper.shape[0]):
                nearest = min(nearest, (x - upper[i, 0]) ** 2 + (y - upper[i, 1]) ** 2)
            lid = min(np.sqrt(nearest) / (0.16 * width), 1.0)
            shade = 1 - shading * 0.30 * (1 - lid)
            # The ball turns away from the light towards its corners.
            along = abs((x - middle_x) * axis_x + (y - middle_y) * axis_y) / half_squared
            ball = 1 - CORNER_SHADE * drawn * min(max((along - 0.3) / 0.7, 0.0), 1.0) ** 2
            for c in range(3):
                value = white[c] * ball + (disc[c] - white[c] * ball) * alpha
                value += (own[c] - value) * still_share * own[3] / 255
                frame[y, x, c] = np.uint8(min(max(value * shade, 0.0), 255.0))
            frame[y, x, 3] = 255


def paint_lid(
    frame: NDArray[np.uint8],
    placed: Points,
    eye: Eye,
    textures: EyeTextures,
    socket: NDArray[np.float64],
    closure: float,
) -> None:
    """Fade the stretched upper lid into closed-lid skin and draw the lash line."""
    if closure > LID_STARTS:
        upper, crease = placed[eye.upper, :2].copy(), placed[eye.crease, :2]
        top = upper.copy()
        top[1:-1] = crease * 0.75 + upper[1:-1] * 0.25
        fall = (upper - top)[1:-1].mean(0)
        fall /= np.linalg.norm(fall) + 1e-6
        upper[1:-1] += fall * (textures.width * 0.045 * max(0.0, (closure - 0.6) / 0.4))
        opacity = min(1.0, closure * 1.6) * 0.9
        _blend_skin(frame, upper, top, textures, socket, opacity)
    if closure > LASH_STARTS:
        line = placed[eye.upper, :2]
        if closure > 0.9:
            line = (line + placed[eye.lower, :2]) / 2
        _draw_lashes(frame, line, textures, min(1.0, (closure - LASH_STARTS) / 0.45))


def _box(
    frame: NDArray[np.uint8], points: Points, margin: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Return the part of the frame round some points and its origin, or None when outside."""
    low = np.maximum(np.floor(points.min(0)).astype(np.int64) - margin, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(np.int64) + margin + 1, frame.shape[0])
    if (high - low < 4).any():
        return None
    return frame[low[1] : high[1], low[0] : high[0]], low


def _blend_skin(
    frame: NDArray[np.uint8],
    upper: Points,
    top: Points,
    textures: EyeTextures,
    socket: NDArray[np.float64],
    opacity: float,
) -> None:
    """Lay closed-lid skin between the lid's edge and its fold, where more of the lid itself shows.

    Shapes: upper and top, the two rows, (9, 2).
    """
    found = _box(frame, np.concatenate([upper, top]), 6)
    if found is None:
        return
    part, low = found
    mask = np.zeros(part.shape[:2], np.uint8)
    for share, value in ((1.0, round(255 * FOLD_COVER)), (FOLD_SHARE, 255)):
        outline = np.asarray(ring(upper, upper + share * (top - upper))) - low
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], value, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, textures.width * 0.035))
    shift = socket @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
    shift[:, 2] -= textures.origin
    skin = cv2.warpAffine(
        textures.closed_lid,
        shift,
        (part.shape[1], part.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    _lay_over(part, skin, soft, opacity)


def _draw_lashes(
    frame: NDArray[np.uint8], line: Points, textures: EyeTextures, opacity: float
) -> None:
    """Draw lashes along the (9, 2) edge of a lid: thick outside, thin inside, soft below."""
    found = _box(frame, line, 8)
    if found is None:
        return
    part, low = found
    along = line[-1] - line[0]
    down = np.array([-along[1], along[0]]) * np.sign(along[0]) / (np.linalg.norm(along) + 1e-6)
    edge = line - low
    core = (LASH_LINE * textures.width)[:, None] * down
    fringe = (LASH_FRINGE * textures.width)[:, None] * down
    mask = np.zeros(part.shape[:2], np.uint8)
    for outline, value in (
        (ring(edge - 0.4 * core, edge + fringe), round(255 * FRINGE_OPACITY)),
        (ring(edge - 0.4 * core, edge + 0.6 * core), 255),
    ):
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], value, cv2.LINE_AA, 4)
    _lay_over(part, textures.lash, cv2.GaussianBlur(mask, (3, 3), 0.6), opacity * LASH_OPACITY)


def _lay_over(
    part: NDArray[np.uint8], colour: NDArray[Any], mask: cv2.typing.MatLike, opacity: float
) -> None:
    """Mix a colour into premultiplied RGBA (H, W, 4), only where there is a person."""
    share = mask[..., None] * np.float32(opacity / 255)
    person = part[..., 3:] * np.float32(1 / 255)
    part[..., :3] = part[..., :3] * (1 - share) + colour * (share * person)
