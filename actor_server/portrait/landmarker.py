"""Find faces: 478 landmarks of each, by Google's face landmarker."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.pose import Points
from actor_server.codec.mesh.prepared import Image
from actor_server.portrait import mediapipe_tasks

MOST_FACES: Final = 4
DETECTION_CONFIDENCE: Final = 0.4
# A face that fills the picture is found once there is a margin round it.
MARGIN_SHARE: Final = 0.35


class FaceLandmarker:
    """Detects faces in still pictures. Not thread-safe."""

    def __init__(self, task: Path) -> None:
        if not task.is_file():
            raise FileNotFoundError(
                f"the face landmarker model is missing at {task}: run `xstreamer doctor`"
            )
        options = mediapipe_tasks.vision.FaceLandmarkerOptions(
            base_options=mediapipe_tasks.BaseOptions(model_asset_path=str(task)),
            num_faces=MOST_FACES,
            min_face_detection_confidence=DETECTION_CONFIDENCE,
        )
        self._landmarker = mediapipe_tasks.vision.FaceLandmarker.create_from_options(options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._landmarker.close()

    def find(self, image: Image) -> list[Points]:
        """Return (478, 3) landmarks in pixels per face, widest face first."""
        found = self._detect(image)
        if not found:
            margin = int(MARGIN_SHARE * max(image.shape[:2]))
            padded = cv2.copyMakeBorder(
                image, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(127, 127, 127)
            )
            found = [face - [margin, margin, 0] for face in self._detect(np.asarray(padded))]
        return sorted(found, key=lambda face: -face_size(face))

    def _detect(self, image: Image) -> list[Points]:
        height, width = image.shape[:2]
        frame = mediapipe_tasks.Image(
            image_format=mediapipe_tasks.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        result = self._landmarker.detect(frame)
        scale = [width, height, width]
        return [
            np.array([[point.x, point.y, point.z] for point in face]) * scale
            for face in result.face_landmarks
        ]


def face_size(landmarks: Points) -> float:
    """Return the larger side of the box round the face oval, pixels."""
    oval = landmarks[list(topology.FACE_OVAL), :2]
    return float(np.ptp(oval, axis=0).max())
