"""Choosing the next token: temperature, then the nucleus, then one number from outside.

The number makes a row's choice independent of the other rows and repeatable from a seed, and it
lets the whole choice be part of a CUDA graph. Shapes: B rows, V vocabulary.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Temperature 0 takes the likeliest. `size`: ids that exist."""

    temperature: float
    top_p: float
    size: int

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and 0 < self.top_p <= 1):
            raise ValueError(f"no such sampling: {self}")


def choose(logits: torch.Tensor, numbers: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """One id for each row (B,) from logits (B, V) and numbers (B,) in [0, 1)."""
    real = logits[:, : sampling.size].float()  # the last rows of the head belong to no token
    if sampling.temperature == 0:
        return real.argmax(-1)
    weights, ids = nucleus(real, sampling)
    sums = weights.cumsum(-1)
    reached = sums <= numbers[:, None] * sums[:, -1:]
    # Where rounding reaches past the end, the last token of the nucleus is meant.
    last = (weights > 0).sum(-1, keepdim=True) - 1
    place = torch.minimum(reached.sum(-1, keepdim=True), last)
    return ids.gather(-1, place)[:, 0]


def nucleus(logits: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities (B, V), largest first, 0 outside the nucleus, and their ids (B, V).

    A token belongs to the nucleus when those likelier than it have less than `top_p` together.
    """
    ordered, ids = torch.sort(logits / sampling.temperature, dim=-1, descending=True, stable=True)
    weights = ordered.softmax(-1)
    likelier = weights.cumsum(-1) - weights
    inside = likelier < sampling.top_p
    inside[:, 0] = True
    return weights.where(inside, 0.0), ids
