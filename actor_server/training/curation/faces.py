"""Faces by Google's face landmarker (Apache-2.0), which calls use as well."""

from pathlib import Path

import numpy as np

from actor_server.codec.mesh import topology
from actor_server.portrait.landmarker import FaceLandmarker
from actor_server.training.curation.judges import Box
from actor_server.training.curation.media import Picture


class Landmarker:
    """A FaceFinder. `task`: face_landmarker.task, which `xstreamer assets fetch` brings."""

    def __init__(self, task: str) -> None:
        self._landmarker = FaceLandmarker(Path(task))

    def faces(self, picture: Picture) -> list[Box]:
        """Boxes round the face oval, widest first."""
        boxes: list[Box] = []
        for landmarks in self._landmarker.find(picture):
            oval = landmarks[list(topology.FACE_OVAL), :2]
            (left, top), (width, height) = oval.min(0), np.ptp(oval, axis=0)
            boxes.append((float(left), float(top), float(width), float(height)))
        return boxes
