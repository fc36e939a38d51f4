"""Whose face is it? SFace's vector of the largest face in a picture.

The cosine of two vectors is their likeness. Above 0.363 its authors call two pictures the same
person; the shipped portraits, renders of one family, reach 0.37 to 0.75 with each other.

Source: Zhong et al., "SFace: sigmoid-constrained hypersphere loss for robust face recognition",
IEEE TIP 30, 2021 (arXiv 2205.12010); faces are found by YuNet.
"""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from actor_server.codec.mesh.prepared import Image
from actor_server.portrait.person_check import MODEL_FILE as DETECTOR_FILE

RECOGNISER_FILE: Final = "face_recognition_sface_2021dec_int8bq.onnx"
FACE_SCORE: Final = 0.6
SIDE: Final = 320
"""Pixels to which pictures are reduced to find the face in them."""

Embedding = NDArray[np.float32]


class FaceUnseen(Exception):
    """No face is found in a picture."""


class FaceRecogniser:
    """Finds a face and tells whose it is. Not thread-safe."""

    def __init__(self, assets: Path) -> None:
        """Raises FileNotFoundError when one of the two models is not among the assets."""
        for name in (DETECTOR_FILE, RECOGNISER_FILE):
            if not (assets / name).is_file():
                raise FileNotFoundError(
                    f"the model {assets / name} is missing: run `xstreamer assets fetch --all`"
                )
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        self._detector = cv2.FaceDetectorYN.create(
            str(assets / DETECTOR_FILE), "", (SIDE, SIDE), FACE_SCORE
        )
        self._aligner = cv2.FaceRecognizerSF.create(str(assets / RECOGNISER_FILE), "")
        self._recogniser = _session(assets / RECOGNISER_FILE)

    def embedding(self, picture: Image) -> Embedding:
        """The unit vector (128,) of the surest face in (H, W, 3) RGB. Raises FaceUnseen."""
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        scale = SIDE / max(bgr.shape[:2])
        small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, faces = self._detector.detect(small)
        if faces is None or not len(faces):
            raise FaceUnseen("no face is found in the picture")
        best = faces[int(np.argmax(faces[:, -1]))].copy()
        best[:-1] /= scale
        crop = cv2.cvtColor(self._aligner.alignCrop(bgr, best), cv2.COLOR_BGR2RGB)
        batch = crop.astype(np.float32).transpose(2, 0, 1)[None]  # (1, 3, 112, 112)
        (vectors,) = self._recogniser.run(None, {"data": batch})
        vector: Embedding = vectors[0] / np.linalg.norm(vectors[0])
        return vector


def _session(model: Path) -> Any:
    """The file names its weights as inputs, which onnxruntime would ask for."""
    graph = onnx.load(str(model))
    image = [value for value in graph.graph.input if value.name == "data"]
    del graph.graph.input[:]
    graph.graph.input.extend(image)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
