"""Quality of pictures by KonIQ++ (Su et al., BMVC 2021), from a user's export."""

from typing import Final

import cv2
import numpy as np

from actor_server.training.curation.media import Picture
from actor_server.training.curation.onnx_file import OnnxFile

WIDTH: Final = 512
HEIGHT: Final = 384
MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
SPREAD: Final = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's."""


class KonIQ:
    """A QualityJudge. `model` takes (1, 3, 384, 512), RGB in units of ImageNet's mean and spread;
    the first number of its first output is the mean opinion, 0 to 100.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        self._network = OnnxFile(model, (1, 3, HEIGHT, WIDTH), device)

    def score(self, picture: Picture) -> float:
        """Of the whole picture, made smaller."""
        small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        normal = np.asarray((small / 255 - MEAN) / SPREAD, np.float32)
        return float(self._network(normal.transpose(2, 0, 1)[None]).ravel()[0])
