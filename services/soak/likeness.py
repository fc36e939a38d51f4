"""Is it still the same face? Frames as the browser showed them, against the portrait."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from actor_server.evaluation.identity import Embedding, FaceRecogniser, FaceUnseen
from services.soak.samples import Likeness

JPEG_QUALITY = 90

Picture = NDArray[np.uint8]


class LikenessMeter:
    """Compares frames with a portrait and with the first of them. Keeps them as small files."""

    def __init__(self, assets: Path, portrait: bytes, folder: Path) -> None:
        self._recogniser = FaceRecogniser(assets)
        self._portrait = self._recogniser.embedding(_decoded(portrait))
        self._first: Embedding | None = None
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def look(self, png: bytes, name: str) -> Likeness:
        """Measure one frame. Raises FaceUnseen."""
        frame = _decoded(png)
        cv2.imwrite(
            str(self._folder / f"{name}.jpg"),
            cv2.cvtColor(frame, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
        )
        seen = self._recogniser.embedding(frame)
        if self._first is None:
            self._first = seen
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return Likeness(
            portrait=float(seen @ self._portrait),
            first=float(seen @ self._first),
            sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        )


def _decoded(file: bytes) -> Picture:
    """(H, W, 3) RGB."""
    picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) if file else None
    if picture is None:
        raise FaceUnseen("there is no picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
