"""How much the mouth moves from frame to frame, head motion taken out.

Dimension letters: F frames, S side of a crop in pixels.

Between two frames the head sways, turns a little and the codec adds noise. Over the whole crop that
motion is close to affine in the image, so an affine flow is fitted by least squares (Lucas and
Kanade, 1981) to everything but the mouth, and what the mouth region changes beyond it is the lips'.
"""

import numpy as np
from numpy.typing import NDArray

from services.callbench.recording import BYTES
from services.callbench.waveform import FLOAT

SHRINK = 2  # 128 -> 64: halves codec noise, keeps lips some 12 pixels tall
# Boxes inside the crop, as fractions (top, bottom, left, right).
MOUTH_BOX = (0.18, 0.7, 0.22, 0.78)
# The lips alone: chin and cheeks only add what the head does.
LIPS_BOX = (0.2, 0.52, 0.26, 0.74)
FIT_ROUNDS = 2


def lip_motion(crops: BYTES) -> FLOAT:
    """Return the mouth's own change since the frame before, grey levels, (F,); the first is 0."""
    small = _shrink(crops)
    changes = np.zeros(len(small), np.float32)
    if len(small) < 2:
        return changes
    mouth = _mask(MOUTH_BOX, small.shape[1])
    basis = _affine_basis(small.shape[1])
    for at in range(1, len(small)):
        left_over = _unexplained(small[at - 1], small[at], ~mouth, basis)
        changes[at] = np.sqrt(np.mean(left_over[mouth] ** 2))
    return changes


def mouth_contrast(crops: BYTES) -> FLOAT:
    """Return how uneven the mouth region looks, grey levels, (F,).

    An open mouth shows a dark hollow or bright teeth between the lips: more contrast than a closed
    one. It tells which frames are open relative to others of the same call, nothing more.
    """
    small = _shrink(crops)
    if not len(small):
        return np.zeros(0, np.float32)
    return np.asarray(small[:, _mask(LIPS_BOX, small.shape[1])].std(axis=1), np.float32)


def _unexplained(before: FLOAT, after: FLOAT, fit_on: NDArray[np.bool_], basis: FLOAT) -> FLOAT:
    """Return the change that no affine motion of the head accounts for, (S, S)."""
    middle = (before + after) / 2
    down, right = np.gradient(middle, axis=0), np.gradient(middle, axis=1)
    # Columns: six parameters of the flow, and brightness and contrast of the whole picture.
    columns = np.concatenate(
        [right[..., None] * basis, down[..., None] * basis, _lighting(before)], axis=-1
    )
    change = after - before
    weights = fit_on.copy()
    fit = np.zeros(columns.shape[-1], np.float32)
    for _ in range(FIT_ROUNDS):
        chosen = columns[weights]
        gram = chosen.T @ chosen + 1e-3 * np.eye(chosen.shape[1], dtype=np.float32)
        fit = np.linalg.solve(gram, chosen.T @ change[weights])
        misfit = np.abs(change - columns @ fit)
        # Blinking lids and cheeks that move with the jaw must not steer the fit.
        weights = fit_on & (misfit < 2.5 * np.median(misfit[fit_on]) + 1e-3)
    return np.asarray(change - columns @ fit, np.float32)


def _shrink(crops: BYTES) -> FLOAT:
    frames, side = crops.shape[:2]
    small = side // SHRINK
    blocks = crops.reshape(frames, small, SHRINK, small, SHRINK)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def _mask(box: tuple[float, float, float, float], side: int) -> NDArray[np.bool_]:
    top, bottom, left, right = (round(share * side) for share in box)
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def _affine_basis(side: int) -> FLOAT:
    steps = np.linspace(-1, 1, side, dtype=np.float32)
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    return np.stack([np.ones_like(rows), rows, columns], axis=-1)


def _lighting(picture: FLOAT) -> FLOAT:
    return np.stack([np.ones_like(picture), (picture - picture.mean()) / 64], axis=-1)
