"""Tensors inside messages: their rule, and their way from the JSON header into own frames."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import core_schema

Frame = bytes | memoryview
MAX_DIMENSION = 2**31 - 1


@dataclass
class TensorFrames:
    """The binary frames of one message while it is encoded or decoded."""

    frames: list[Frame] = field(default_factory=list)
    used: int = 0

    def put(self, array: np.ndarray) -> dict[str, Any]:
        """Append an array (not copied when contiguous) and return its JSON stand-in."""
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.frames.append(flat.data if flat.size else b"")
        return {
            "frame": len(self.frames) - 1,
            "dtype": array.dtype.name,
            "shape": list(array.shape),
        }

    def take(self, stand_in: Any, spec: "Tensor") -> np.ndarray:
        """The read-only view that a stand-in names. Raises ValueError when it names none."""
        if not isinstance(stand_in, dict) or set(stand_in) != {
            "frame",
            "dtype",
            "shape",
        }:
            raise ValueError("a tensor must be written as {frame, dtype, shape}")
        index, shape = stand_in["frame"], stand_in["shape"]
        if type(index) is not int or index != self.used or index >= len(self.frames):
            raise ValueError(
                f"tensor names frame {index!r}, expected {self.used} of {len(self.frames)}"
            )
        if (
            not isinstance(shape, list)
            or len(shape) != len(spec.shape)  # before anything is multiplied
            or any(type(n) is not int or not 0 <= n <= MAX_DIMENSION for n in shape)
        ):
            raise ValueError(f"{str(shape)[:80]} is no shape {spec.shape}")
        if stand_in["dtype"] != spec.dtype:
            raise ValueError(f"tensor is {stand_in['dtype']!r}, must be {spec.dtype!r}")
        self.used += 1
        frame = self.frames[index]
        expected = math.prod(shape) * np.dtype(spec.dtype).itemsize
        if len(frame) != expected:
            raise ValueError(f"tensor of shape {shape} needs {expected} bytes, got {len(frame)}")
        view = np.frombuffer(frame, dtype=spec.dtype).reshape(shape)
        view.flags.writeable = False
        return view


@dataclass(frozen=True)
class Tensor:
    """What one tensor of a message must look like; use as `Annotated[np.ndarray, Tensor(...)]`.

    `shape` mixes fixed sizes with dimension letters; a letter that appears in several tensors of
    one message must have the same size in each.
    """

    dtype: str
    shape: tuple[int | str, ...]
    max_bytes: int = 64 * 1024 * 1024

    def check(self, array: np.ndarray) -> np.ndarray:
        """Refuse a wrong type, rank, fixed size or number. Raises ValueError that says which."""
        if array.dtype != np.dtype(self.dtype):
            raise ValueError(f"tensor is {array.dtype}, must be {self.dtype}")
        if array.nbytes > self.max_bytes:
            raise ValueError(f"tensor has {array.nbytes} bytes, limit {self.max_bytes}")
        rules = self.shape if array.ndim == len(self.shape) else None
        if rules is None or any(
            rule != size
            for rule, size in zip(rules, array.shape, strict=True)
            if isinstance(rule, int)
        ):
            raise ValueError(f"tensor has shape {array.shape}, must be {self.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("tensor has numbers that are not finite")
        return array

    def bind(self, array: np.ndarray, sizes: dict[str, int]) -> None:
        """Check the dimension letters against those already bound. Raises ValueError."""
        for size, rule in zip(array.shape, self.shape, strict=True):
            if isinstance(rule, str) and sizes.setdefault(rule, size) != size:
                raise ValueError(
                    f"dimension {rule} is {sizes[rule]} in one tensor and {size} in another"
                )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def validate(value: Any, info: ValidationInfo) -> np.ndarray:
            if isinstance(info.context, TensorFrames):
                value = info.context.take(value, self)
            if not isinstance(value, np.ndarray):
                # A ValueError, because pydantic turns only that into a validation error.
                raise ValueError(f"expected an array of {self.dtype} {self.shape}")  # noqa: TRY004
            return self.check(value)

        def serialize(array: np.ndarray, info: core_schema.SerializationInfo) -> Any:
            if not isinstance(info.context, TensorFrames):
                raise TypeError("tensors are serialised by proto.codec.encode only")
            return info.context.put(array)

        return core_schema.with_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                serialize, info_arg=True, when_used="json"
            ),
        )
