"""The Actor's weights: a safetensors file, or a directory of shards, that says itself what it is.

Matrices are stored in half precision, vectors (norms, biases, latent statistics) in single. The
metadata, all text: `format` and `version`, `geometry` (JSON of ActorGeometry, visibility included),
`sampler` (JSON of SamplerDefaults) and `recipe`, which tells a person how it was trained.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from actor_server.errors import TensorsUnreadable, WeightsUnusable
from actor_server.model.empty import empty_actor
from actor_server.model.float8 import quantised, use_float8
from actor_server.model.geometry import ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.tensor_files import SHARD_BYTES, TensorFiles, write_shards
from actor_server.tensor_table import differences

FORMAT: Final = "xstreamer-actor"
VERSION: Final = "1"
STATISTICS: Final = ("latent_mean", "latent_std")
"""What stays in single precision: the codec computes with it."""


@dataclass(frozen=True)
class SamplerDefaults:
    """What the weights were trained or distilled for: N passes a chunk, W chunks in flight."""

    steps: int
    window: int

    def __post_init__(self) -> None:
        if not 1 <= self.window <= self.steps:
            raise ValueError(f"{self.window} chunks in flight need 1 to {self.steps} passes each")


def save_actor(path: Path, model: VideoTransformer, sampler: SamplerDefaults, recipe: str) -> None:
    """Write the model's weights into one file, replacing it in one step."""
    tensors = {name: _halved(tensor.detach().cpu()) for name, tensor in model.state_dict().items()}
    part = path.with_name(f"{path.name}.part")
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        part,
        _metadata(model.geometry, sampler, recipe),
    )
    part.replace(path)


def save_actor_shards(
    directory: Path,
    geometry: ActorGeometry,
    tensors: Iterable[tuple[str, Tensor]],
    sampler: SamplerDefaults,
    recipe: str,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Make a directory of shards of tensors that come one by one; matrices as they are given.

    Raises: FileExistsError.
    """
    stored = ((name, tensor if tensor.ndim > 1 else tensor.float()) for name, tensor in tensors)
    write_shards(directory, stored, _metadata(geometry, sampler, recipe), shard_bytes)


def load_actor(
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    float8: bool = False,
) -> tuple[VideoTransformer, SamplerDefaults]:
    """The model, ready to sample with, and its sampler's defaults.

    It computes in `dtype`, whatever is stored; `float8` keeps the layers' matrices in one byte a
    number (`model/float8.py`). Memory never holds more than the model and one tensor.

    Raises: WeightsUnusable, whose text says what is wrong with the file and what to do.
    """
    if not path.exists():
        raise WeightsUnusable(f"there is no weight file {path}")
    try:
        files = TensorFiles(path)
        model, sampler = described_actor(path, files)
        if float8:
            use_float8(model.layers)
        model.load_state_dict(dict(as_used(files.tensors(device), model, dtype)), assign=True)
    except TensorsUnreadable as error:
        raise WeightsUnusable(str(error)) from error
    return model.to(device).eval().requires_grad_(False), sampler


def described_actor(path: Path, files: TensorFiles) -> tuple[VideoTransformer, SamplerDefaults]:
    """The model without memory, whose tensors are those of the files, and its sampler.

    Raises: WeightsUnusable.
    """
    _check_format(path, files.metadata)
    try:
        sampler = SamplerDefaults(**json.loads(files.metadata["sampler"]))
        model = empty_actor(ActorGeometry.from_dict(json.loads(files.metadata["geometry"])))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsUnusable(f"{path} does not hold this Actor ({error})") from error
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if problems := differences(files.shapes, expected):
        raise WeightsUnusable(f"{path} does not hold this Actor ({problems})")
    return model, sampler


def as_used(
    tensors: Iterable[tuple[str, Tensor]], model: VideoTransformer, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Stored tensors as the model holds them: in `dtype`, statistics in single, or in float8."""
    wanted = model.state_dict()
    for name, tensor in tensors:
        if name in STATISTICS:
            yield name, tensor.float()
        elif wanted[name].dtype is torch.float8_e4m3fn:
            weight, scale = quantised(tensor)
            yield name, weight
            yield f"{name.removesuffix('weight')}scale", scale
        else:
            yield name, tensor.to(dtype)


def _halved(tensor: Tensor) -> Tensor:
    """Bfloat16 keeps its range."""
    if tensor.ndim < 2:
        return tensor.float()
    return tensor if tensor.dtype is torch.bfloat16 else tensor.half()


def recipe_of(path: Path) -> dict[str, Any]:
    """How the weights at `path` were trained. Raises WeightsUnusable."""
    try:
        recipe: dict[str, Any] = json.loads(TensorFiles(path).metadata["recipe"])
    except (TensorsUnreadable, KeyError, ValueError) as error:
        raise WeightsUnusable(f"{path} does not say how it was trained: {error}") from error
    return recipe


def _metadata(geometry: ActorGeometry, sampler: SamplerDefaults, recipe: str) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "geometry": json.dumps(geometry.to_dict()),
        "sampler": json.dumps(asdict(sampler)),
        "recipe": recipe,
    }


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    found = metadata.get("format"), metadata.get("version")
    if found[0] != FORMAT:
        raise WeightsUnusable(f"{path} is no weight file of the Actor")
    if found[1] != VERSION:
        raise WeightsUnusable(
            f"{path} has format version {found[1]}, this program reads version {VERSION}"
        )
