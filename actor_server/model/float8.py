"""Linear layers whose weights take one byte a number: float8 e4m3, a scale per output channel.

It saves memory, not time: each pass turns the weights back into the type of its input.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST: Final = torch.finfo(torch.float8_e4m3fn).max


class Float8Linear(nn.Module):
    """`nn.Linear` of a weight (outputs, inputs) in float8 and its scale (outputs,)."""

    weight: Tensor
    scale: Tensor

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(outputs, inputs, dtype=torch.float8_e4m3fn))
        self.register_buffer("scale", torch.empty(outputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs); scales and biases are applied in single precision."""
        made = functional.linear(x, self.weight.to(x.dtype)) * self.scale
        return (made if self.bias is None else made + self.bias).to(x.dtype)


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight (outputs, inputs) in float8, each row as large as fits, and the rows' scales."""
    scale = weight.abs().amax(dim=1).float() / LARGEST
    scale = torch.where(scale > 0, scale, 1.0)
    return (weight / scale[:, None]).to(torch.float8_e4m3fn), scale


def use_float8(layers: nn.Module) -> None:
    """Put an empty Float8Linear into the place of each linear layer."""
    for name, linear in [*layers.named_modules()]:
        if isinstance(linear, nn.Linear):
            with linear.weight.device:
                empty = Float8Linear(
                    linear.in_features, linear.out_features, linear.bias is not None
                )
            layers.set_submodule(name, empty)
