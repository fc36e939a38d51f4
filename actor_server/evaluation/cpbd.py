"""Sharpness of a picture: the share of its edges at which no blur can be seen.

A vertical edge is as wide as the run over which grey rises or falls through it. How likely an eye
sees blur there follows from that width and the contrast of the block of 64 x 64 pixels.

Source: N. D. Narvekar and L. J. Karam, "A No-Reference Image Blur Metric Based on the Cumulative
Probability of Blur Detection (CPBD)", IEEE TIP 20(9), 2011, with the constants and the choice of
edges of the authors' "CPBD Sharpness Metric Software", http://ivulab.asu.edu/Quality/CPBD.

Shapes: pictures (H, W).
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from actor_server.codec.mesh.prepared import Image

BLOCK_PX: Final = 64
EDGE_SHARE: Final = 0.002
"""A block with fewer edge pixels has no edges to judge."""
CANNY_SIGMA: Final = 1.0
CANNY_LOW: Final = 0.1
CANNY_HIGH: Final = 0.2
CANNY_SCALE: Final = 32
"""Derivatives become whole numbers for OpenCV; 4 x 255 x 32 fit 16 bits."""
BETA: Final = 3.6
DARK_CONTRAST: Final = 50
NOTICED_PX: Final = (5.0, 3.0)
"""Just noticeable width at contrasts up to DARK_CONTRAST, and above."""
UNSEEN_PERCENT: Final = 63
"""Blur is detected with this probability at the just noticeable width."""
LONGEST_RUN: Final = 100

Grey = NDArray[np.float64]
Flags = NDArray[np.bool_]


def cpbd(picture: Image) -> float:
    """0 (blurred) .. 1 (crisp) of (H, W, 3) RGB; 0 where there are no edges."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    widths, edges = edge_widths(grey), _canny(grey)
    unseen = total = 0
    for top in range(0, grey.shape[0] - BLOCK_PX + 1, BLOCK_PX):
        for left in range(0, grey.shape[1] - BLOCK_PX + 1, BLOCK_PX):
            block = (slice(top, top + BLOCK_PX), slice(left, left + BLOCK_PX))
            if np.count_nonzero(edges[block]) <= EDGE_SHARE * BLOCK_PX**2:
                continue
            found = widths[block][widths[block] > 0]
            noticed = NOTICED_PX[int(np.ptp(grey[block])) > DARK_CONTRAST]
            detected = 1 - np.exp(-((found / noticed) ** BETA))
            unseen += int((np.round(100 * detected) <= UNSEEN_PERCENT).sum())
            total += len(found)
    return unseen / total if total else 0.0


def edge_widths(grey: Grey) -> Grey:
    """Width in pixels at each vertical edge whose grey changes along the row, 0 elsewhere."""
    down, right = np.gradient(grey)
    angle = np.where(right != 0, np.degrees(np.arctan2(down, right)), 0.0)
    turned = np.abs(np.round(angle / 45))
    edges = _vertical_edges(grey)
    edges[[0, -1]] = edges[:, [0, -1]] = False
    widths = np.zeros_like(grey)
    for flags, steps in (
        (edges & (turned == 0), np.diff(grey) > 0),
        (edges & (turned == 4), np.diff(grey) < 0),
    ):
        widths[flags] = _run_widths(steps)[flags]
    return widths


def _run_widths(steps: Flags) -> Grey:
    """Width of an edge at each pixel, where `steps` (H, W - 1) says whether grey goes on."""
    to_left, to_right = _runs(steps), _runs(steps[:, ::-1])[:, ::-1]
    widths = np.zeros((steps.shape[0], steps.shape[1] + 1))
    # the steps to and from the pixel itself are not looked at: it is an edge
    widths[:, 1:-1] = 2
    widths[:, 2:-1] += np.minimum(to_left[:, :-2], LONGEST_RUN)
    widths[:, 1:-2] += np.minimum(to_right[:, 2:], LONGEST_RUN)
    return widths


def _runs(flags: Flags) -> NDArray[np.int64]:
    """How many flags in a row are up, up to and with each."""
    columns = np.arange(flags.shape[1])
    last_down = np.maximum.accumulate(np.where(flags, -1, columns), axis=1)
    counted: NDArray[np.int64] = columns - last_down
    return counted


def _vertical_edges(grey: Grey) -> Flags:
    """Thinned maxima of the squared horizontal derivative above twice its root mean square."""
    kernel = np.outer([1, 2, 1], [1, 0, -1]) / 8
    strength = convolve(grey, kernel) ** 2
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    padded = np.pad(strength, 1)
    beside = np.maximum(padded[1:-1, :-2], padded[1:-1, 2:])
    above = np.maximum(padded[:-2, 1:-1], padded[2:, 1:-1])
    thinned: Flags = strength > np.minimum(beside, above)
    return thinned


def _canny(grey: Grey) -> Flags:
    soft = cv2.GaussianBlur(grey, (0, 0), CANNY_SIGMA)
    across, down = (
        np.round(CANNY_SCALE * cv2.Sobel(soft, cv2.CV_64F, *order)).astype(np.int16)
        for order in ((1, 0), (0, 1))
    )
    found = cv2.Canny(
        across, down, CANNY_SCALE * CANNY_LOW, CANNY_SCALE * CANNY_HIGH, L2gradient=True
    )
    return np.asarray(found > 0, np.bool_)
