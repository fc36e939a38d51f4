"""A model spread over the processes that train it (FSDP2): each holds a part of every tensor.

Weights, gradients and the optimiser's states stay in single precision and in parts; a layer's
weights are brought together, rounded to the precision of the pass, only while it computes.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from actor_server.errors import TensorsUnreadable, WeightsUnusable
from actor_server.model.layers import VideoLayer
from actor_server.model.video_transformer import VideoTransformer
from actor_server.tensor_files import TensorFiles
from actor_server.training.ranks import Ranks, whole
from actor_server.weights import SamplerDefaults, described_actor


def load_sharded(
    path: Path, device: torch.device, ranks: Ranks, *, bf16: bool
) -> tuple[VideoTransformer, SamplerDefaults]:
    """The weights of a file or directory, this process's part of them, ready to be trained.

    Memory never holds more than that part and one tensor. Raises WeightsUnusable.
    """
    if not path.exists():
        raise WeightsUnusable(f"there are no weights {path}")
    try:
        files = TensorFiles(path)
        model, sampler = described_actor(path, files)
        _shard(model.float(), device, ranks, bf16)
        wanted = model.state_dict()
        parts = {name: _part(stored, wanted[name]) for name, stored in files.tensors(device)}
        model.load_state_dict(parts, assign=True)
    except TensorsUnreadable as error:
        raise WeightsUnusable(str(error)) from error
    return model.to(device).train(), sampler


def whole_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor, brought together, on the CPU; all processes must ask for all of them."""
    for name, tensor in model.state_dict().items():
        yield name, whole(tensor).cpu()


def _shard(model: VideoTransformer, device: torch.device, ranks: Ranks, bf16: bool) -> None:
    mesh = init_device_mesh(device.type, (ranks.count,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bf16 else torch.float32,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # noise levels and times would be rounded
    )
    # views go from layer to layer, but nothing is written into them
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    layers = [layer for layer in model.layers if isinstance(layer, VideoLayer)]
    # conditions become keys and values for all layers before the first of them is called
    heard: list[nn.Module] = [part for layer in layers for part in layer.cross_attn.of_memory]
    fully_shard(heard, mesh=mesh, mp_policy=policy)
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def _part(stored: Tensor, wanted: Tensor) -> Tensor:
    """This process's part in single precision, in memory of its own."""
    if not isinstance(wanted, DTensor):
        return stored.float()
    mesh, placements = wanted.device_mesh, wanted.placements
    return distribute_tensor(stored.float(), mesh, placements, src_data_rank=None).clone()
