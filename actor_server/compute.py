"""Where the video transformer and the LTX codec compute, and in which numbers."""

from dataclasses import dataclass, field
from typing import Final, Self

import torch

_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Compute:
    """A device and a type of numbers.

    `float8`: the transformer's layers hold their matrices so. `graphs`: its passes have one shape
    and fixed places, and are recorded where the device is a GPU.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    float8: bool = False
    graphs: bool = False

    @classmethod
    def named(cls, device: str, dtype: str, *, float8: bool = False, graphs: bool = False) -> Self:
        """That of the configuration's words."""
        return cls(device_named(device), _DTYPES[dtype], float8, graphs)

    def __str__(self) -> str:
        kept = ", layers in float8" if self.float8 else ""
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}{kept}"


def device_named(name: str) -> torch.device:
    """torch's own name of a device, or `auto`: the last GPU, as the Thinker takes the first.

    Where there is no GPU, `auto` is the CPU.
    """
    if name != "auto":
        return torch.device(name)
    gpus = torch.cuda.device_count()
    return torch.device("cuda", gpus - 1) if gpus else torch.device("cpu")
