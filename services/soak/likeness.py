"""Is it still the same face? Frames as the browser showed them, against the portrait.

Source: Zhong et al., "SFace: sigmoid-constrained hypersphere loss for robust face recognition",
IEEE TIP 30, 2021 (arXiv 2205.12010). Above 0.363 its authors call two pictures the same person;
the shipped portraits, renders of one family, reach 0.37 to 0.75 with each other.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from services.soak.samples import Likeness

DETECTOR_FILE = "face_detection_yunet_2023mar_int8bq.onnx"
RECOGNISER_FILE = "face_recognition_sface_2021dec_int8bq.onnx"
FACE_SCORE = 0.6
SIDE = 320
JPEG_QUALITY = 90

Picture = NDArray[np.uint8]
Embedding = NDArray[np.float32]


class FaceUnseen(Exception):
    """No face is found in a picture."""


class LikenessMeter:
    """Compares frames with a portrait and with the first of them. Keeps them as small files."""

    def __init__(self, assets: Path, portrait: bytes, folder: Path) -> None:
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
        self._portrait = self._embedding(_decoded(portrait))
        self._first: Embedding | None = None
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def look(self, png: bytes, name: str) -> Likeness:
        """Measure one frame. Raises FaceUnseen."""
        frame = _decoded(png)
        cv2.imwrite(
            str(self._folder / f"{name}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        seen = self._embedding(frame)
        if self._first is None:
            self._first = seen
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        return Likeness(
            portrait=float(seen @ self._portrait),
            first=float(seen @ self._first),
            sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        )

    def _embedding(self, picture: Picture) -> Embedding:
        """The face's unit vector, (128,)."""
        scale = SIDE / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, faces = self._detector.detect(small)
        if faces is None or not len(faces):
            raise FaceUnseen("no face is found in the picture")
        best = faces[int(np.argmax(faces[:, -1]))].copy()
        best[:-1] /= scale
        crop = cv2.cvtColor(self._aligner.alignCrop(picture, best), cv2.COLOR_BGR2RGB)
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


def _decoded(file: bytes) -> Picture:
    """(H, W, 3) BGR."""
    picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) if file else None
    if picture is None:
        raise FaceUnseen("there is no picture")
    return np.asarray(picture, np.uint8)
