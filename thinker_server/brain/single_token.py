"""Linear layers that are quick for one token at a time on a CPU.

Decoding multiplies each weight matrix with one vector, so its time is the time of reading the
weights. A matrix that came from a four-bit file (GGUF Q4_1: per block of 32 weights a scale, a
least value and 16 levels) is read as four bits again, without loss; any other one at least takes
the matrix-vector product, which is quicker than the general product. Measured on x86-64 with
AVX-512 for SmolLM2-135M: 24 ms a token with four bits, 50 ms with the matrix-vector product.

The scores of a vocabulary need not all be exact to find the largest: four bits of each row tell
which few can be it, and these are then computed exactly. That saves 4 of those 24 ms.

Dimension letters: I inputs, O outputs, B blocks of a row.
"""

from dataclasses import dataclass

import torch
from torch import nn

BLOCK_WEIGHTS = 32
LEVELS = 16
MAX_ROUNDING = 2**-7
"""A block's weights lie this near (relative to its largest) to their levels, or the matrix did not
come from four bits: half a unit of bfloat16's last place, twice, for weight and level."""
SHORT_LIST = 64
"""So many of the roughly best scores are made exact."""


@dataclass(frozen=True)
class FourBits:
    """A matrix as PyTorch's four-bit kernel for CPUs reads it."""

    packed: torch.Tensor  # (O, I / 2) uint8
    scales_and_middles: torch.Tensor  # (B, O, 2) bfloat16; the middle is the value of level 8

    def product(self, vector: torch.Tensor) -> torch.Tensor:
        """(1, I) -> (1, O). In bfloat16 inside: for other numbers the kernel is not vectorised."""
        result: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            vector.bfloat16(), self.packed, BLOCK_WEIGHTS, self.scales_and_middles
        )
        return result.to(vector.dtype)


def four_bits(weight: torch.Tensor, rounded: bool = False) -> FourBits | None:
    """Pack (O, I) weights that lie on 16 levels in each block, or `rounded` to the nearest ones;
    None when they do not, or when the kernel cannot take the shape.
    """
    outputs, inputs = weight.shape
    if inputs % BLOCK_WEIGHTS or outputs % LEVELS:
        return None
    blocks = weight.float().reshape(outputs, -1, BLOCK_WEIGHTS)  # (O, B, 32)
    least, most = blocks.aminmax(dim=2, keepdim=True)
    scale = (most - least) / (LEVELS - 1)
    level = ((blocks - least) / scale.clamp(min=torch.finfo(torch.float32).tiny)).round()
    error = (least + level * scale - blocks).abs()
    if not rounded and bool((error > MAX_ROUNDING * torch.maximum(least.abs(), most.abs())).any()):
        return None
    affine = torch.cat([scale, least + LEVELS / 2 * scale], dim=2)  # (O, B, 2)
    return FourBits(
        torch.ops.aten._convert_weight_to_int4pack_for_cpu(level.int().flatten(1), 1),
        affine.transpose(0, 1).contiguous().bfloat16(),
    )


class SingleTokenLinear(nn.Linear):
    """nn.Linear that reads its weights in the quickest way when the input is one position."""

    four_bits: FourBits | None

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        """(..., I) -> (..., O)."""
        if input.numel() != self.in_features:
            return nn.functional.linear(input, self.weight, self.bias)
        if self.four_bits is not None:
            product = self.four_bits.product(input.reshape(1, -1))
            product = product if self.bias is None else product + self.bias
        elif self.bias is not None:
            product = torch.addmv(self.bias, self.weight, input.reshape(-1))
        else:
            product = torch.mv(self.weight, input.reshape(-1))
        return product.reshape(*input.shape[:-1], self.out_features)


class ScoresLinear(SingleTokenLinear):
    """The scores of a vocabulary, without bias: the SHORT_LIST best are exact, others nearly so."""

    rough: FourBits

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        """(..., I) -> (..., O)."""
        if input.numel() != self.in_features:
            return nn.functional.linear(input, self.weight, self.bias)
        scores = self.rough.product(input.reshape(1, -1))[0]
        best = scores.topk(min(SHORT_LIST, self.out_features)).indices
        scores[best] = torch.mv(self.weight[best], input.reshape(-1))
        return scores.reshape(*input.shape[:-1], self.out_features)


def reads_four_bits(model: nn.Module) -> bool:
    """Whether decoding reads four bits a weight, not sixteen."""
    return any(
        isinstance(module, SingleTokenLinear) and module.four_bits is not None
        for module in model.modules()
    )


def speed_up_decoding(model: nn.Module, scores: nn.Module | None = None) -> None:
    """Let every plain linear layer of a bfloat16 or float32 model on the CPU decode quickly;
    `scores` is the one that gives those of the vocabulary.
    """
    for module in model.modules():
        on_cpu = type(module) is nn.Linear and module.weight.device.type == "cpu"
        if on_cpu and module.weight.dtype in (torch.bfloat16, torch.float32):
            module.__class__ = SingleTokenLinear
            assert isinstance(module, SingleTokenLinear)
            module.four_bits = four_bits(module.weight.detach())
    if isinstance(scores, SingleTokenLinear) and scores.four_bits is None:
        rough = four_bits(scores.weight.detach(), rounded=True)
        if rough is not None and scores.bias is None:
            scores.__class__ = ScoresLinear
            assert isinstance(scores, ScoresLinear)
            scores.rough = rough
