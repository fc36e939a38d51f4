"""Paint the inside of the mouth into the hole that the lips leave.

The upper teeth hang from the skull, lower teeth and tongue ride on the jaw; lips shade what is
close behind them.

Shapes: the frame at twice its size, (512, 512). Units: its pixels.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import Latent
from actor_server.codec.mesh.mouth_textures import UPPER_LENGTHS, MouthTextures
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.raster import sample
from actor_server.codec.mesh.shaping import index

_UPPER = index(topology.LIP_INNER_UPPER)
_LOWER = index(topology.LIP_INNER_LOWER)

# Sizes in mouth widths at rest.
TEETH_HALF_WIDTH: Final = 0.47
UPPER_TOP, UPPER_HEIGHT = -0.15, 0.205
LOWER_TOP, LOWER_HEIGHT = -0.045, 0.18
TONGUE_TOP, TONGUE_HEIGHT, TONGUE_HALF_WIDTH = -0.34, 0.42, 0.36
LIP_SHADE_REACH: Final = 0.055
UPPER_SHADE_REACH: Final = 0.10
WELL_LIT_GAP: Final = 0.15
# What the portrait shows of its mouth was lit when it was taken.
OWN_SHADE: Final = 0.4
LOWER_TEETH, UPPER_TEETH = 2, 3  # their numbers among the layers


@dataclass(frozen=True)
class Anchors:
    """Points of the portrait's skull that the inside of its mouth hangs from."""

    teeth: Points  # (3,) where the lips meet
    chin_lip: Points  # (3,) lower edge of the lower lip at rest
    own: Points  # (3, 3) corners and a point below: the frame of the portrait's own open mouth
    lips: Points  # (2, 3) middle of the inner lips, upper and lower
    width: float  # mouth width

    @classmethod
    def of(cls, geometry: FaceGeometry) -> "Anchors":
        rest = geometry.vertices
        right, left = (rest[i] for i in topology.INNER_CORNERS)
        below = (right + left) / 2 + np.array([0.0, 20.0, 0.0])
        outer_right, outer_left = (rest[i] for i in topology.OUTER_CORNERS)
        return cls(
            teeth=(rest[topology.INNER_LIP_TOP] + rest[topology.INNER_LIP_BOTTOM]) / 2,
            chin_lip=rest[topology.OUTER_LIP_BOTTOM],
            own=np.stack([right, left, below]),
            lips=rest[[topology.INNER_LIP_TOP, topology.INNER_LIP_BOTTOM]],
            width=float(np.linalg.norm(outer_right - outer_left)),
        )


def paint_mouth(
    frame: NDArray[np.uint8],
    map_x: NDArray[np.float32],
    placed: Points,
    geometry: FaceGeometry,
    anchors: Anchors,
    textures: MouthTextures,
    latent: Latent,
) -> None:
    """Fill the uncovered pixels between the lips of `placed` vertices (V, 3)."""
    upper, lower = placed[_UPPER, :2], placed[_LOWER, :2]
    corner, along = upper[0], upper[-1] - upper[0]
    length = float(np.linalg.norm(along))
    if length < 3:
        return
    x_axis = along / length
    y_axis = np.array([-x_axis[1], x_axis[0]])
    axes = np.stack([x_axis, y_axis], axis=1)
    middle = corner + along / 2
    skull = geometry.turn_head(
        np.stack([anchors.teeth, anchors.chin_lip, *anchors.own, *anchors.lips]), latent
    )[:, :2]
    gap_at_rest = float(np.linalg.norm(skull[6] - skull[5]))  # with the head turned as it is
    jaw = placed[topology.OUTER_LIP_BOTTOM, :2] - skull[1]
    teeth = (np.stack([skull[0], skull[0] + jaw]) - middle) @ axes
    upper_lip = float((placed[topology.INNER_LIP_TOP, :2] - middle) @ y_axis)
    lower_lip = float((placed[topology.INNER_LIP_BOTTOM, :2] - middle) @ y_axis)
    teeth[0, 1] += _rise(textures, anchors.width, upper_lip - float(teeth[0, 1]), gap_at_rest)
    boxes = _layer_boxes(teeth, (upper_lip, lower_lip), (length, anchors.width))
    moved = abs(lower_lip - upper_lip - gap_at_rest) / (0.08 * anchors.width)
    shape = np.array([*middle, *x_axis, *y_axis, anchors.width])
    own_map = _affine(skull[2:5], anchors.own[:, :2] - np.array(textures.own_origin))
    _fill(
        frame,
        map_x,
        (np.asarray((upper - middle) @ axes), np.asarray((lower - middle) @ axes), shape),
        (textures.layers, boxes),
        (textures.own, own_map),
        textures.lining,
        min(1.0, moved) if textures.own.shape[0] > 1 else 1.0,
    )


def _rise(textures: MouthTextures, width: float, upper_lip: float, gap: float) -> float:
    """Return how far the row of upper teeth hangs below its place for closed lips, pixels.

    A raised upper lip uncovers teeth, never the gums above them. `upper_lip` is its distance below
    the row's place, `gap` the one between the lips at rest. Teeth that the portrait shows go on
    where they are seen.
    """
    if textures.own_edge is None:
        return min(0.0, upper_lip + 0.03 * width)
    edge = UPPER_TOP + UPPER_HEIGHT * UPPER_LENGTHS[0]
    raised = min(0.0, upper_lip + 0.5 * gap)
    return (textures.own_edge - edge) * width + raised


def _layer_boxes(
    teeth: Points, lips: tuple[float, float], size: tuple[float, float]
) -> NDArray[np.float64]:
    """Return (4, 4) middle, top, half width and height of cavity, tongue, lower and upper teeth.

    `teeth` (2, 2): where the rows of upper and lower teeth hang, in the mouth's axes; size: length
    of the mouth now, width at rest.
    """
    top, bottom = teeth
    (upper_lip, lower_lip), (length, width) = lips, size
    sunk = lower_lip - bottom[1] - 0.03 * width
    floor = bottom[1] + float(np.clip(sunk, -0.1 * width, 0.06 * width))
    half = max(TEETH_HALF_WIDTH * width, 0.49 * length)
    return np.array(
        [
            [0.0, upper_lip, max(length * 0.5, width * 0.3), max(2.0, lower_lip - upper_lip)],
            [
                bottom[0],
                floor + TONGUE_TOP * width,
                TONGUE_HALF_WIDTH * width,
                TONGUE_HEIGHT * width,
            ],
            [bottom[0], floor + LOWER_TOP * width, half * 0.86, LOWER_HEIGHT * width],
            [top[0], top[1] + UPPER_TOP * width, half, UPPER_HEIGHT * width],
        ],
        np.float64,
    )


def _affine(source: Points, target: Points) -> NDArray[np.float64]:
    """Return the (2, 3) affine map that takes three points (3, 2) to three others."""
    matrix = np.linalg.solve(np.column_stack([source, np.ones(3)]), target).T
    return np.asarray(matrix, np.float64)


@njit(cache=True, nogil=True, fastmath=True)
def _height_at(row: NDArray[np.float64], x: float) -> float:
    """Interpolate the second coordinate of a polyline (N, 2) that runs left to right."""
    height: float = row[0, 1]
    for i in range(1, row.shape[0]):
        run = row[i, 0] - row[i - 1, 0]
        if x > row[i - 1, 0]:
            share = min((x - row[i - 1, 0]) / run, 1.0) if run > 1e-6 else 1.0
            height = row[i - 1, 1] + (row[i, 1] - row[i - 1, 1]) * share
    return height


@njit(cache=True, nogil=True, fastmath=True)
def _blend_layers(
    layers: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    place: tuple[float, float],
    texel: NDArray[np.float32],
    colour: NDArray[np.float32],
) -> float:
    """Look through the (4, h, w, 4) layers at one place of the mouth's axes into colour (3,).

    Returns how much of it is teeth.
    """
    teeth = 0.0
    for number in range(layers.shape[0]):
        box, texture = boxes[number], layers[number]
        u = (place[0] - box[0]) / box[2] * 0.5 + 0.5
        v = (place[1] - box[1]) / box[3]
        if number == 0:  # the cavity has no end
            u, v = min(max(u, 0.0), 1.0), min(max(v, 0.0), 1.0)
        elif number == UPPER_TEETH:  # above them is gum
            v = max(v, 0.0)
        sample(texture, u * (texture.shape[1] - 1), v * (texture.shape[0] - 1), texel)
        alpha = texel[3] / 255 if number > 0 else np.float32(1.0)
        for c in range(3):
            colour[c] += (texel[c] - colour[c]) * alpha
        if number >= LOWER_TEETH:
            teeth += float((1 - teeth) * alpha)
    return teeth


@njit(cache=True, nogil=True, fastmath=True)
def _widest(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest gap between two lip rows (N, 2) and the largest height of either."""
    gap, tall = 0.0, 3.0
    for i in range(upper.shape[0]):
        gap = max(gap, lower[i, 1] - upper[i, 1])
        tall = max(tall, abs(upper[i, 1]) + 3, abs(lower[i, 1]) + 3)
    return gap, tall


@njit(cache=True, nogil=True, fastmath=True)
def _fill(
    frame: NDArray[np.uint8],
    map_x: NDArray[np.float32],
    lips: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    inside: tuple[NDArray[np.uint8], NDArray[np.float64]],
    own_mouth: tuple[NDArray[np.uint8], NDArray[np.float64]],
    lining: NDArray[np.float64],
    shading: float,
) -> None:
    """Shade every uncovered pixel of the mouth.

    Shapes: lips are rows (11, 2) in the mouth's axes and (7,): origin, x axis, y axis, width;
    inside is the layers and their boxes (4, 4): middle, top, half width, height.
    """
    upper, lower, axes = lips
    layers, boxes = inside
    own, own_map = own_mouth
    width = axes[6]
    length = upper[-1, 0] - upper[0, 0]
    gap, tall = _widest(upper, lower)
    # Little light falls through lips that are hardly parted.
    dim = 0.55 + 0.45 * min(gap / (WELL_LIT_GAP * width), 1.0)
    reach = max(-upper[0, 0], upper[-1, 0]) + 3
    span = abs(axes[2]) * reach + abs(axes[4]) * tall
    rise = abs(axes[3]) * reach + abs(axes[5]) * tall
    texel = np.zeros(4, np.float32)
    colour = np.zeros(3, np.float32)
    for y in range(max(0, int(axes[1] - rise)), min(frame.shape[0], int(axes[1] + rise) + 2)):
        for x in range(max(0, int(axes[0] - span)), min(frame.shape[1], int(axes[0] + span) + 2)):
            if map_x[y, x] > -1e3:
                continue
            a = (x - axes[0]) * axes[2] + (y - axes[1]) * axes[3]
            b = (x - axes[0]) * axes[4] + (y - axes[1]) * axes[5]
            below_upper = b - _height_at(upper, a)
            above_lower = _height_at(lower, a) - b
            teeth = _blend_layers(layers, boxes, (a, b), texel, colour)
            lip = min(below_upper, above_lower) / (LIP_SHADE_REACH * width)
            near = 1 - min(max(lip, 0.0), 1.0)
            hidden = 1 - min(max(below_upper / (UPPER_SHADE_REACH * width), 0.0), 1.0)
            # Towards the corners light no longer reaches the teeth.
            corner = min(max((abs(a) / (0.5 * length) - 0.55) / 0.45, 0.0), 1.0)
            light = (1 - (1 - dim) * (1 - 0.7 * teeth)) * (1 - 0.22 * hidden)
            light = 1 - shading * (1 - light * (1 - 0.55 * corner))
            flesh = shading * max(0.9 * near * near, 0.6 * corner * corner)
            glow = 1 + 0.4 * near * near * near
            u = own_map[0, 0] * x + own_map[0, 1] * y + own_map[0, 2]
            v = own_map[1, 0] * x + own_map[1, 1] * y + own_map[1, 2]
            sample(own, u, v, texel)
            own_light = 1 - OWN_SHADE * (1 - light)
            # At rest all that lies between the lips is seen, in motion only what moves with teeth.
            own_share = min(max(texel[3] / 127.5 - shading, 0.0), 1.0)
            for c in range(3):
                value = colour[c] * light
                value += (texel[c] * own_light - value) * own_share
                value += (lining[c] * glow - value) * flesh
                frame[y, x, c] = np.uint8(min(max(value, 0.0), 255.0))
            frame[y, x, 3] = 255
