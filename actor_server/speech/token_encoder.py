"""Audio tokens to a mean mel for flow matching: a block-causal encoder and a length regulator.

Module names are those of the released checkpoint.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from actor_server.speech.geometry import MEL_BINS, FlowGeometry

BLOCK_TOKENS: Final = 10
"""A token sees all tokens before it and its whole block of this many."""
REGULATOR_LAYERS: Final = 4


class RelativeAttention(nn.Module):
    """Self-attention whose logits also know the distance (Transformer-XL, arXiv 1901.02860)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        head_dim = width // heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, head_dim))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, head_dim))

    def forward(self, x: Tensor, distances: Tensor, seen: Tensor) -> Tensor:
        """x (B, N, C), distances (2N - 1, C) from +(N-1) down, seen (N, N) bool to (B, N, C)."""
        queries, keys, values = (
            self._by_head(linear(x)) for linear in (self.linear_q, self.linear_k, self.linear_v)
        )  # (B, H, N, E)
        positions = self._by_head(self.linear_pos(distances))  # (H, 2N - 1, E)
        content = (queries + self.pos_bias_u[:, None]) @ keys.transpose(-2, -1)
        by_distance = (queries + self.pos_bias_v[:, None]) @ positions.transpose(-2, -1)
        tokens = torch.arange(x.shape[1], device=x.device)
        row = x.shape[1] - 1 - (tokens[:, None] - tokens[None, :])  # of the distance i - j
        distance = by_distance.gather(-1, row.expand(*by_distance.shape[:2], -1, -1))
        logits = (content + distance) / math.sqrt(self.pos_bias_u.shape[1])
        weights = logits.masked_fill(~seen, -torch.inf).softmax(-1)
        return self.linear_out((weights @ values).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], *self.pos_bias_u.shape).transpose(-3, -2)


class FeedForward(nn.Module):
    """Two layers with SiLU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(functional.silu(self.w_1(x)))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each on a normed residual."""

    def __init__(self, geometry: FlowGeometry) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(geometry.width, geometry.heads)
        self.feed_forward = FeedForward(geometry.width, geometry.ffn_width)
        self.norm_mha = nn.LayerNorm(geometry.width)
        self.norm_ff = nn.LayerNorm(geometry.width)

    def forward(self, x: Tensor, distances: Tensor, seen: Tensor) -> Tensor:
        """(B, N, C) to the same."""
        x = x + self.self_attn(self.norm_mha(x), distances, seen)
        return x + self.feed_forward(self.norm_ff(x))  # type: ignore[no-any-return]


class TokenEncoder(nn.Module):
    """Token embeddings in context; a token's encoding is final when its block is complete."""

    def __init__(self, geometry: FlowGeometry) -> None:
        super().__init__()
        width = geometry.width
        projection = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))
        self.embed = nn.ModuleDict({"out": projection})
        self.encoders = nn.ModuleList(EncoderLayer(geometry) for _ in range(geometry.layers))
        self.after_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to the same."""
        x = self.embed["out"](x) * math.sqrt(x.shape[-1])
        distances = distance_table(x.shape[1], x.shape[2]).to(x)
        seen = block_causal(x.shape[1]).to(x.device)
        for layer in self.encoders:
            x = layer(x, distances, seen)
        return self.after_norm(x)  # type: ignore[no-any-return]


class LengthRegulator(nn.Module):
    """Token rate to mel rate: nearest neighbours, then convolutions that smooth the steps."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(REGULATOR_LAYERS):
            conv = nn.Conv1d(MEL_BINS, MEL_BINS, 3, padding=1)
            layers += [conv, nn.GroupNorm(1, MEL_BINS), nn.Mish()]
        self.model = nn.Sequential(*layers, nn.Conv1d(MEL_BINS, MEL_BINS, 1))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B, N, M) to (B, M, F)."""
        upsampled = functional.interpolate(x.transpose(1, 2), size=frames, mode="nearest")
        return self.model(upsampled)  # type: ignore[no-any-return]


def distance_table(tokens: int, width: int) -> Tensor:
    """(2N - 1, C): interleaved sines and cosines of the distances +(N-1) down to -(N-1)."""
    distances = torch.arange(tokens - 1, -tokens, -1, dtype=torch.float32)
    rates = torch.exp(torch.arange(0, width, 2) * -(math.log(10_000.0) / width))
    angles = distances[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def block_causal(tokens: int) -> Tensor:
    """(N, N) bool: token i sees token j."""
    index = torch.arange(tokens)
    block = index // BLOCK_TOKENS
    return (index <= index[:, None]) | (block == block[:, None])
