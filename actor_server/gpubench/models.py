"""Random models of a size, made on the device: no file is read and the host holds no weight."""

from collections.abc import Iterator

import torch
from torch import Tensor

from actor_server.codec.ltx.codec import LtxCodec
from actor_server.codec.ltx.tiny import random_autoencoder
from actor_server.gpubench.sizes import Size
from actor_server.model.empty import empty_actor
from actor_server.model.float8 import use_float8
from actor_server.model.geometry import ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.weights import as_used


def random_actor(
    geometry: ActorGeometry, device: torch.device, dtype: torch.dtype, *, float8: bool = False
) -> VideoTransformer:
    """An Actor that moves at random; the same numbers with and without `float8`."""
    model = empty_actor(geometry)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if float8:
        use_float8(model.layers)
    tensors = as_used(_random_tensors(shapes, device), model, dtype)
    model.load_state_dict(dict(tensors), assign=True)
    return model.to(device).eval().requires_grad_(False)


def _random_tensors(
    shapes: dict[str, torch.Size], device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """Matrices keep the size of what they read; scales are 1, biases and means 0."""
    dice = torch.Generator(device).manual_seed(0)
    for name, shape in shapes.items():
        if len(shape) > 1:
            drawn = torch.randn(shape, generator=dice, device=device, dtype=torch.bfloat16)
            yield name, drawn * shape[-1] ** -0.5
        else:
            value = float(name.endswith(("norm.weight", "std")))
            yield name, torch.full(shape, value, device=device)


def random_codec(size: Size, device: torch.device, dtype: torch.dtype) -> LtxCodec:
    """An autoencoder of the released shape that paints coloured noise."""
    with torch.device(device):
        autoencoder = random_autoencoder(size.autoencoder)
    autoencoder.encoder.to(dtype)
    autoencoder.decoder.to(dtype)
    return LtxCodec(autoencoder, size.picture_side, size.picture_side)
