"""Rotary positions on half of every head, pairs interleaved as GLM has them, over three axes.

The pairs of the rotated half are dealt out to t, h and w in order, each keeping the frequency it
has in one dimension: with t = h = w this is GLM's own rotary embedding.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from actor_server.model.geometry import ActorGeometry


class Rotation(NamedTuple):
    """cos and sin (..., E) of tokens at some positions; 1 and 0 where a head is not rotated.

    sin carries the sign: minus for the first of a pair, plus for the second.
    """

    cos: Tensor
    sin: Tensor

    def over_heads(self) -> "Rotation":
        """From (..., N, E) to (..., 1, N, E)."""
        return Rotation(self.cos.unsqueeze(-3), self.sin.unsqueeze(-3))


def rotation_at(positions: Tensor, geometry: ActorGeometry, dtype: torch.dtype) -> Rotation:
    """The rotation of tokens at `positions` (..., 3): t in chunks, h, w in latents.

    Angles are computed in float64, so that nothing but the result is rounded to `dtype`.
    """
    pairs = sum(geometry.rotary_pairs)
    device = positions.device
    exponents = torch.arange(pairs, dtype=torch.float64, device=device) / pairs
    axes = [axis for axis, count in enumerate(geometry.rotary_pairs) for _ in range(count)]
    angles = positions.double()[..., axes] * geometry.rope_theta**-exponents  # (..., pairs)
    rotated = angles.repeat_interleave(2, dim=-1)
    still = torch.zeros(*rotated.shape[:-1], geometry.head_dim - 2 * pairs, device=device)
    angles = torch.cat([rotated, still.double()], dim=-1)
    sin = angles.sin()
    sin[..., ::2] *= -1
    return Rotation(angles.cos().to(dtype), sin.to(dtype))


def rotation_in_time(times: Tensor, geometry: ActorGeometry, dtype: torch.dtype) -> Rotation:
    """GLM's own rotary embedding at `times` (...,): all pairs turn with t."""
    return rotation_at(times.unsqueeze(-1).expand(*times.shape, 3), geometry, dtype)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair (2i, 2i + 1) of `x` (..., E) by its token's angle."""
    swapped = x.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return torch.addcmul(x * rotation.cos, swapped, rotation.sin)


def token_positions(geometry: ActorGeometry) -> Tensor:
    """(T, 3) float64: t, h, w of a chunk's tokens from the chunk's start; t in chunks."""
    frames, height, width = geometry.grid
    axes = (torch.arange(frames) / frames, torch.arange(height), torch.arange(width))
    return torch.cartesian_prod(*(axis.double() for axis in axes))


def chunk_positions(chunks: Tensor, geometry: ActorGeometry) -> Tensor:
    """(..., T, 3) of the tokens of `chunks` (...,), counted from any common origin."""
    at = token_positions(geometry).to(chunks.device).expand(*chunks.shape, -1, -1).clone()
    at[..., 0] += chunks[..., None]
    return at


def reference_positions(chunks: Tensor, geometry: ActorGeometry) -> Tensor:
    """(..., R, 3) of the reference's tokens where the reference stands in for `chunks` (...,)."""
    at = token_positions(geometry)[: geometry.reference_tokens].to(chunks.device)
    at = at.expand(*chunks.shape, -1, -1).clone()
    at[..., 0] += chunks[..., None]
    return at
