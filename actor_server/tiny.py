"""`python -m actor_server.tiny --language-model DIR --out FILE`: a small random paper-size Actor.

It has the classes and conditions of the 9B Actor and the layers' sizes of a small language model,
so that whole calls run where nothing was trained. What it makes of a portrait is noise.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import torch

from actor_server.errors import LanguageModelUnusable
from actor_server.model.geometry import ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.training.initialise import geometry_like, read_config
from actor_server.weights import SamplerDefaults, save_actor

SAMPLER: Final = SamplerDefaults(steps=2, window=2)


def random_actor(geometry: ActorGeometry, seed: int = 0) -> VideoTransformer:
    """Every parameter random: one that is only initialised predicts no motion at all."""
    dice = torch.Generator().manual_seed(seed)
    model = VideoTransformer(geometry).eval().requires_grad_(False)
    for parameter in model.parameters():
        fan_in = parameter.shape[-1] if parameter.ndim > 1 else 4
        parameter.copy_(torch.randn(parameter.shape, generator=dice) * fan_in**-0.5)
    return model


def main() -> int:
    """Exit code 0 when the weights are there, 2 when the input is at fault."""
    parser = argparse.ArgumentParser(prog="python -m actor_server.tiny")
    parser.add_argument("--language-model", type=Path, required=True, help="a small GLM")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        geometry = geometry_like(read_config(options.language_model))
    except LanguageModelUnusable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_actor(options.out, random_actor(geometry, options.seed), SAMPLER, "random numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
