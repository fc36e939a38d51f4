"""A user's ONNX file with one input, held against what the adapter feeds it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
)


class OnnxFile:
    """Runs on the GPU if `device` is `cuda` and onnxruntime-gpu is installed."""

    def __init__(self, file: str, shape: tuple[int | None, ...], device: str = "cpu") -> None:
        """`shape`: of its input; None where the length varies. Raises ValueError, OSError."""
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file} is missing")
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise ValueError(f"device = {device!r}, but this onnxruntime has no {provider}")
        try:
            self._session = onnxruntime.InferenceSession(file, providers=[provider])
        except (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
            raise ValueError(f"{file} is no ONNX model ({error})") from error
        inputs = self._session.get_inputs()
        found = tuple(inputs[0].shape)
        if len(inputs) != 1 or not _fits(found, shape):
            wanted = ["any" if length is None else length for length in shape]
            raise ValueError(
                f"{file} takes {len(inputs)} inputs, the first of shape {list(found)}; "
                f"it must take one of {wanted}"
            )
        self._name = inputs[0].name

    def __call__(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Its first output."""
        return np.asarray(self._session.run(None, {self._name: array})[0], np.float32)


def _fits(found: tuple[Any, ...], wanted: tuple[int | None, ...]) -> bool:
    """Lengths of a model may be names of what varies."""
    return len(found) == len(wanted) and all(
        not isinstance(length, int) or length == must
        for length, must in zip(found, wanted, strict=True)
    )
