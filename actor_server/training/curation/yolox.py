"""People by YOLOX (Ge et al., arXiv 2107.08430; code and weights Apache-2.0)."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.training.curation.media import Picture
from actor_server.training.curation.onnx_file import OnnxFile

STRIDES: Final = (8, 16, 32)
PADDING: Final = 114
SMALLEST_SHARE: Final = 0.005
"""Of the picture: people further away are background."""


class Yolox:
    """A PersonCounter. `model`: a COCO model of the project's releases, exported by its
    `tools/export_onnx.py`, which takes (1, 3, S, S) BGR of 0..255 and gives (1, N, 85): middle and
    size in cells, how sure it is of a thing, and of each class, people first.
    """

    def __init__(
        self,
        model: str,
        size: int = 640,
        sure: float = 0.5,
        overlap: float = 0.45,
        device: str = "cpu",
    ) -> None:
        if size % STRIDES[-1]:
            raise ValueError(f"size = {size}, must be a multiple of {STRIDES[-1]}")
        self._network = OnnxFile(model, (1, 3, size, size), device)
        self._size, self._sure, self._overlap = size, sure, overlap
        self._cells, self._strides = _grid(size)

    def count(self, picture: Picture) -> int:
        """People of a box of half a percent of the picture or more."""
        height, width = picture.shape[:2]
        scale = min(self._size / height, self._size / width)
        inside = (round(width * scale), round(height * scale))
        filled = np.full((self._size, self._size, 3), PADDING, np.float32)
        filled[: inside[1], : inside[0]] = cv2.resize(picture, inside)[..., ::-1]
        found = self._network(filled.transpose(2, 0, 1)[None])[0]  # (N, 85)
        if found.shape[0] != len(self._cells):
            raise ValueError(f"YOLOX gave {found.shape}, wanted {len(self._cells)} boxes")
        scores = found[:, 4] * found[:, 5]
        middle = (found[:, :2] + self._cells) * self._strides
        sides = np.exp(found[:, 2:4]) * self._strides
        boxes = np.concatenate([middle - sides / 2, sides], 1)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), self._sure, self._overlap)
        share = boxes[:, 2:].prod(1) / (inside[0] * inside[1])
        return int(sum(share[place] >= SMALLEST_SHARE for place in np.ravel(kept).astype(int)))


def _grid(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cell (N, 2) and stride (N, 1) of each of the network's boxes."""
    cells, strides = [], []
    for stride in STRIDES:
        side = size // stride
        rows, columns = np.mgrid[:side, :side]
        cells.append(np.stack([columns.ravel(), rows.ravel()], 1))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
