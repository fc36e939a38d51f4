"""The averaged weights that are shipped: an exponential mean that warms up."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` whose parameters follow an exponential mean of the trained ones.

    Early on the mean forgets faster, or the random start would linger in a short run. Buffers are
    copied: the latent's mean and spread are not learned.
    """

    def blend(means: Tensors, current: Tensors, count: Tensor | int) -> None:
        seen = float(count)
        torch._foreach_lerp_(means, current, 1 - min(decay, (1 + seen) / (10 + seen)))

    return AveragedModel(model, multi_avg_fn=blend)
