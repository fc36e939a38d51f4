"""Is it a person? The landmarker alone also finds faces in cats, dogs and owls."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image

MODEL_FILE: Final = "face_detection_yunet_2023mar_int8bq.onnx"
# YuNet gives people .87 and more, a cat mostly less than .5 (crops of 512 reduced to these sizes).
DETECTOR_SIZES: Final = (160, 320)
PERSON_SCORE: Final = 0.7
# Seen over a whole picture, a face counts from this score on.
FACE_SCORE: Final = 0.75
SEARCH_SIDE: Final = 960
# Drawn faces can fall short of that; they pass when their features lie where a person's do: rms
# distance to the canonical face in inter-iris distances. People .05-.11, a cat .13 and more.
DRAWN_SCORE: Final = 0.45
DRAWN_SHAPE_ERROR: Final = 0.105
SHAPE_ERROR_LIMIT: Final = 0.22


@dataclass(frozen=True)
class Likeness:
    """How much a face is like a person's."""

    score: float  # YuNet's, 0..1
    shape_error: float  # inter-iris distances

    @property
    def is_person(self) -> bool:
        if self.shape_error > SHAPE_ERROR_LIMIT:
            return False
        drawn = self.score >= DRAWN_SCORE and self.shape_error <= DRAWN_SHAPE_ERROR
        return self.score >= PERSON_SCORE or drawn


class PersonCheck:
    """A second, independently trained face detector. Not thread-safe.

    Source: Wu, Peng, Yu, "YuNet: a tiny millisecond-level face detector", MIR 20, 2023.
    """

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise FileNotFoundError(f"the model {model} is missing: run `xstreamer doctor`")
        self._detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), 0.01, 0.3, 50)

    def find_faces(self, image: Image) -> list[tuple[float, float, float, float]]:
        """Return boxes (x, y, width, height) in pixels of faces of any size, largest first.

        It finds smaller faces than the landmarker, whose detector looks for selfies.
        """
        scale = min(1.0, SEARCH_SIDE / max(image.shape[:2]))
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, faces = self._detector.detect(small)
        if faces is None:
            return []
        boxes = [tuple(face[:4] / scale) for face in faces if face[-1] >= FACE_SCORE]
        return sorted(boxes, key=lambda box: -box[2] * box[3])

    def measure(self, crop: Image, landmarks: Points) -> Likeness:
        """Look at a (512, 512, 3) crop with its (478, 3) landmarks."""
        bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
        score = 0.0
        for size in DETECTOR_SIZES:
            self._detector.setInputSize((size, size))
            small = cv2.resize(bgr, (size, size), interpolation=cv2.INTER_AREA)
            _, faces = self._detector.detect(small)
            if faces is not None:
                score = max(score, float(np.max(faces[:, -1])))
        return Likeness(score, shape_error(landmarks))


def shape_error(landmarks: Points) -> float:
    """Return the rms frontal distance of (478, 3) landmarks from the canonical face."""
    face = canonical_face()
    own = face.align(landmarks).invert(landmarks)
    squared = ((own - face.vertices)[:468, :2] ** 2).sum(1)
    return float(np.sqrt(squared.mean()))
