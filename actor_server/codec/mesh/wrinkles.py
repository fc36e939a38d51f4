"""Folds of skin that come and go: across the forehead, between the brows, beside a smiling mouth.

The mesh moves skin and cannot crease it. Each fold darkens and lightens a part of the texture, as
deeply as the latent asks.

Shapes: N points (N, 2) in pixels of the crop. Units: inter-iris distances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import BROWS, FURROW, MOUTH, Latent
from actor_server.codec.mesh.person_texture import SCALE, texture_places
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.codec.mesh.shaping import smoothstep

_BROW_ROW: Final = [105, 66, 107, 9, 336, 296, 334]
_MIDDLE_ROW: Final = [104, 69, 108, 151, 337, 299, 333]
_HAIR_ROW: Final = [103, 67, 109, 10, 338, 297, 332]
FOREHEAD_LINES: Final = (
    (_BROW_ROW, _MIDDLE_ROW, 0.6),
    (_MIDDLE_ROW, _HAIR_ROW, 0.15),
    (_MIDDLE_ROW, _HAIR_ROW, 0.5),
)
"""Between which rows of landmarks lines run, and how far from the first one to the second."""
BROW_LINES: Final = (([55, 107], [8, 9], 0.45), ([285, 336], [8, 9], 0.45))
SMILE_LINES: Final = ([129, 203, 206, 216], [358, 423, 426, 436])
CHEEKS: Final = [50, 280, 205, 425, 101, 330]
CRISP: Final = (0.022, 0.17)
SOFT: Final = (0.040, 0.14)
"""Width of a fold, and of the light what its bottom loses; its edge gains LIT of that."""
LIT: Final = 0.35
TINT: Final = np.array((0.85, 1.05, 1.1))  # a fold keeps more of the red
COLOURED: Final = 60.0  # between red and blue of skin; in grey pictures folds are grey
SAME_TINT: Final = 0.06  # difference in the shares of red, green and blue
SAME_LIGHT: Final = 0.55  # of the brightness, either way; a forehead shines, a cheek lies in shade
SKIN_REACH: Final = 34.0  # grey levels from the skin's colour at which it is hair, or a rim
RAISED: Final = (0.35, 1.35)
"""Brows between which the forehead creases, units of the latent; likewise the next two."""
FURROWED: Final = (0.25, 1.1)
SMILED: Final = (0.05, 0.20)
"""Inter-iris distances by which the corners of the mouth go up and apart."""
STEP: Final = 1 / 128
"""A change that is not drawn: it would be less than a grey level."""


@dataclass(frozen=True)
class Fold:
    """What a fold at its deepest takes from a part of the texture, and adds to it, (h, w, 4)."""

    rows: slice
    columns: slice
    darker: NDArray[np.uint8]
    lighter: NDArray[np.uint8]


@dataclass(frozen=True)
class Wrinkles:
    """All folds of one portrait: forehead, between the brows, beside the mouth."""

    folds: tuple[Fold, Fold, Fold]
    smile: NDArray[np.float64]  # (K,) how each coefficient of the mouth lifts and parts its corners

    @classmethod
    def build(cls, portrait: PreparedPortrait, texture: NDArray[np.uint8]) -> "Wrinkles":
        """Crease the portrait's texture; nothing is creased where there is no skin."""
        face = portrait.landmarks[:, :2]
        unit = float(np.linalg.norm(face[468] - face[473]))
        forehead = [face[a] * (1 - share) + face[b] * share for a, b, share in FOREHEAD_LINES]
        brows = [face[a] * (1 - share) + face[b] * share for a, b, share in BROW_LINES]
        smile = [face[line] for line in SMILE_LINES]
        x, y = texture_places(face[CHEEKS].astype(np.float32)).astype(int).T
        cheeks = np.median(texture[y, x, :3], 0)
        features = mouth_basis().features
        return cls(
            (
                _fold(texture, forehead, unit, cheeks, CRISP),
                _fold(texture, brows, unit, cheeks, CRISP),
                _fold(texture, smile, unit, cheeks, SOFT),
            ),
            features["corners"] + features["width"] / 2,
        )

    def depths(self, latent: Latent) -> tuple[float, float, float]:
        """How deep each fold is under a latent (31,), 0 .. 1."""
        asked = (
            (float(latent[BROWS].mean()), RAISED),
            (float(latent[FURROW]), FURROWED),
            (float(self.smile @ latent[MOUTH]), SMILED),
        )
        first, second, third = (
            float(smoothstep(np.array((value - low) / (high - low))))
            for value, (low, high) in asked
        )
        return first, second, third


class Creaser:
    """One call's texture, in which folds come and go."""

    def __init__(self, wrinkles: Wrinkles, plain: NDArray[np.uint8]) -> None:
        self._wrinkles = wrinkles
        self._plain = plain
        self._texture = plain.copy()
        self._shown = (0.0,) * len(wrinkles.folds)

    def crease(self, latent: Latent) -> NDArray[np.uint8]:
        """Return the texture as a latent (31,) has it. Where folds overlap, all are seen."""
        depths = self._wrinkles.depths(latent)
        if all(
            depth == shown or (depth > 0 and abs(depth - shown) < STEP)
            for depth, shown in zip(depths, self._shown, strict=True)
        ):
            return self._texture
        folds = self._wrinkles.folds
        for fold in folds:
            self._texture[fold.rows, fold.columns] = self._plain[fold.rows, fold.columns]
        for fold, depth in zip(folds, depths, strict=True):
            if depth > 0:
                part = self._texture[fold.rows, fold.columns]
                darkened = cv2.addWeighted(part, 1, fold.darker, -depth, 0)
                part[:] = cv2.addWeighted(darkened, 1, fold.lighter, depth, 0)
        self._shown = depths
        return self._texture


def _fold(
    texture: NDArray[np.uint8],
    lines: Sequence[NDArray[np.floating]],
    unit: float,
    cheeks: NDArray[np.floating],
    kind: tuple[float, float],
) -> Fold:
    """Crease the texture along lines (N, 2) of the crop, if skin like that of the cheeks is there.

    `unit`: crop pixels between the irises; `cheeks`: colour (3,).
    """
    drawn = [texture_places(line.astype(np.float32)) for line in lines]
    width, depth = kind[0] * unit * SCALE, kind[1]
    margin = 6 * width
    points = np.concatenate(drawn)
    size = np.array(texture.shape[1::-1])
    low = np.clip(np.floor(points.min(0) - margin), 0, size - 2).astype(int)
    high = np.clip(np.ceil(points.max(0) + margin), low + 2, size).astype(int)
    rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
    plain = texture[rows, columns]
    groove = np.zeros(plain.shape[:2], np.float32)
    for line in drawn:
        groove = np.maximum(groove, _line(plain.shape[:2], line - low, width))
    relief = groove - LIT * np.roll(groove, round(2.2 * width), 0)
    colour = np.median(plain[groove > 0.5][:, :3], 0)
    relief *= _skin(plain, colour) if _is_skin(colour, cheeks) else 0.0
    tint = 1 + (TINT - 1) * np.clip((colour[0] - colour[2]) / COLOURED, 0, 1)
    light = 1 - depth * relief[..., None] * tint
    creased = plain.astype(np.int16)
    creased[..., :3] = np.clip(np.round(plain[..., :3] * light), 0, plain[..., 3:])
    darker = np.clip(plain - creased, 0, 255).astype(np.uint8)
    return Fold(rows, columns, darker, np.clip(creased - plain, 0, 255).astype(np.uint8))


def _line(size: tuple[int, int], points: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """A soft line through points (N, 2) that fades at both ends, 0 .. 1."""
    at = np.linspace(0, len(points) - 1, 48)
    known = np.arange(len(points))
    bent = np.stack([np.interp(at, known, points[:, axis]) for axis in range(2)], 1)
    smooth = np.asarray(cv2.GaussianBlur(bent, (1, 9), 0, borderType=cv2.BORDER_REPLICATE))
    line = np.zeros(size, np.float32)
    for number, (a, b) in enumerate(pairwise(smooth)):
        strength = float(np.sin(np.pi * (number + 0.5) / (len(smooth) - 1)) ** 0.7)
        (x0, y0), (x1, y1) = (
            np.round(a * 16).astype(int).tolist(),
            np.round(b * 16).astype(int).tolist(),
        )
        cv2.line(line, (x0, y0), (x1, y1), strength, max(1, round(width)), cv2.LINE_8, 4)
    soft = cv2.GaussianBlur(line, (0, 0), 0.6 * width)
    return np.asarray(soft / max(float(soft.max()), 1e-6), np.float32)


def _is_skin(colour: NDArray[np.floating], cheeks: NDArray[np.floating]) -> bool:
    """Whether a colour (3,) is that of the cheeks in another light, not a cap's or hair's."""
    light, usual = colour.sum() + 1.0, cheeks.sum() + 1.0
    same_tint = np.abs(colour / light - cheeks / usual).max() < SAME_TINT
    return bool(same_tint and SAME_LIGHT < light / usual < 1 / SAME_LIGHT)


def _skin(part: NDArray[np.uint8], colour: NDArray[np.floating]) -> NDArray[np.float32]:
    """Where a part of the texture (h, w, 4) has the colour (3,) of skin, 0 .. 1 (h, w)."""
    away = np.abs(cv2.GaussianBlur(part[..., :3], (0, 0), 3) - colour).max(2)
    skin = 1 - smoothstep((away - 0.5 * SKIN_REACH) / SKIN_REACH)
    return np.asarray(cv2.GaussianBlur(skin.astype(np.float32), (0, 0), 4), np.float32)
