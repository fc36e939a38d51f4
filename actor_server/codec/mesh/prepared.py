"""A portrait made ready for the codec: what intake hands over and what a cache may keep."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.pose import Points

CROP_SIZE: Final = 512  # pixels on a side; twice the frame, so that frames can be sampled down
FRAME_SIZE: Final = 256

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]


@dataclass(frozen=True)
class PreparedPortrait:
    """A square crop with the face at a known place, its landmarks and the person's outline."""

    image: Image  # (512, 512, 3) RGB
    landmarks: Points  # (478, 3) crop pixels, z in the same scale
    person: Mask  # (512, 512) 1 on the person, 0 on the background

    def __post_init__(self) -> None:
        for name, shape, expected in (
            ("image", self.image.shape, (CROP_SIZE, CROP_SIZE, 3)),
            ("landmarks", self.landmarks.shape, (478, 3)),
            ("person", self.person.shape, (CROP_SIZE, CROP_SIZE)),
        ):
            if shape != expected:
                raise ValueError(f"{name} has shape {shape}, a prepared portrait needs {expected}")
