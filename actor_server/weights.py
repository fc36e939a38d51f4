"""The Actor's weight file: one safetensors file that says itself what it is.

Matrices are stored in half precision, vectors (norms, biases, latent statistics) in single. The
metadata, all text: `format` and `version`, `geometry` (JSON of ActorGeometry, visibility included),
`sampler` (JSON of SamplerDefaults) and `recipe`, which tells a person how it was trained.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from actor_server.errors import WeightsUnusable
from actor_server.model.geometry import ActorGeometry
from actor_server.model.video_transformer import VideoTransformer

FORMAT: Final = "xstreamer-actor"
VERSION: Final = "1"


@dataclass(frozen=True)
class SamplerDefaults:
    """What the weights were trained or distilled for: N passes a chunk, W chunks in flight."""

    steps: int
    window: int

    def __post_init__(self) -> None:
        if not 1 <= self.window <= self.steps:
            raise ValueError(f"{self.window} chunks in flight need 1 to {self.steps} passes each")


def save_actor(path: Path, model: VideoTransformer, sampler: SamplerDefaults, recipe: str) -> None:
    """Write the model's weights, replacing the file in one step."""
    tensors = {
        name: tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else torch.float32)
        for name, tensor in model.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "geometry": json.dumps(model.geometry.to_dict()),
        "sampler": json.dumps(asdict(sampler)),
        "recipe": recipe,
    }
    part = path.with_name(f"{path.name}.part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, metadata)
    part.replace(path)


def load_actor(path: Path) -> tuple[VideoTransformer, SamplerDefaults]:
    """The model in single precision, ready to sample with, and its sampler's defaults.

    Raises: WeightsUnusable, whose text says what is wrong with the file and what to do.
    """
    if not path.is_file():
        raise WeightsUnusable(f"there is no weight file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            model = VideoTransformer(ActorGeometry.from_dict(json.loads(metadata["geometry"])))
            sampler = SamplerDefaults(**json.loads(metadata["sampler"]))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        model.load_state_dict(tensors)
    except SafetensorError as error:
        raise WeightsUnusable(f"{path} is damaged or cut short ({error})") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsUnusable(f"{path} does not hold this Actor ({error})") from error
    return model.eval().requires_grad_(False), sampler


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    found = metadata.get("format"), metadata.get("version")
    if found[0] != FORMAT:
        raise WeightsUnusable(f"{path} is no weight file of the Actor")
    if found[1] != VERSION:
        raise WeightsUnusable(
            f"{path} has format version {found[1]}, this program reads version {VERSION}"
        )
