"""GLM's decoder layer with cross-attention after its self-attention; names are GLM's.

Keys leave a layer un-rotated: who keeps them (a cache) turns them by the position that they have
when they are looked at. Source: X-Streamer, section 3.2; transformers' modeling_glm.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from actor_server.model.geometry import ActorGeometry
from actor_server.model.rotary import Rotation, rotate


class KeyValues(NamedTuple):
    """Keys and values (..., G, N, E)."""

    keys: Tensor
    values: Tensor


class SelfView(NamedTuple):
    """How the tokens of one pass look at each other and at what came before.

    rotation of the N tokens, over heads; mask, added to the logits: (B or 1, 1, N, all keys);
    extend(layer, own keys (B, G, N, E) rotated, values) gives all keys and values, own ones last.
    """

    rotation: Rotation
    mask: Tensor
    extend: Callable[[int, Tensor, Tensor], KeyValues]


class ConditionSlots(NamedTuple):
    """What chunks' conditions are to their tokens, computed once for a chunk.

    For cross-attention per layer keys, rotated in time, and values (B, K, G, M, E), and seen
    (B, K, M) bool. moments (B, K, T or 1, C): added to the tokens themselves.
    """

    layers: list[KeyValues]
    seen: Tensor
    moments: Tensor


class CrossView(NamedTuple):
    """What the tokens of each chunk read of its condition.

    rotation of a chunk's T tokens in time; slots, per layer (B, K, G, M, E), keys rotated; mask
    (B * K, 1, 1, M), added to the logits.
    """

    rotation: Rotation
    slots: list[KeyValues]
    mask: Tensor


class Attention(nn.Module):
    """The four projections of grouped-query attention; biases on q, k, v as GLM has them."""

    def __init__(self, geometry: ActorGeometry, memory_width: int) -> None:
        super().__init__()
        self.head_dim = geometry.head_dim
        inner, shared = (n * geometry.head_dim for n in (geometry.heads, geometry.kv_heads))
        self.q_proj = nn.Linear(geometry.width, inner)
        self.k_proj = nn.Linear(memory_width, shared)
        self.v_proj = nn.Linear(memory_width, shared)
        self.o_proj = nn.Linear(inner, geometry.width, bias=False)

    @property
    def of_memory(self) -> tuple[nn.Linear, nn.Linear]:
        """What `key_values` computes with."""
        return self.k_proj, self.v_proj

    def queries(self, x: Tensor, rotation: Rotation) -> Tensor:
        """(..., N, C) to rotated (..., H, N, E)."""
        return rotate(self._by_head(self.q_proj(x)), rotation)

    def key_values(self, memory: Tensor) -> KeyValues:
        """(..., N, C) to un-rotated keys and values."""
        return KeyValues(self._by_head(self.k_proj(memory)), self._by_head(self.v_proj(memory)))

    def attend(self, queries: Tensor, seen: KeyValues, mask: Tensor) -> Tensor:
        """(B, H, N, E) over (B, G, all, E) to (B, N, C)."""
        attention = attention_by_group if queries.is_cuda else attention_over_heads
        mixed = attention(queries, seen, mask)
        return self.o_proj(mixed.transpose(-3, -2).flatten(-2))  # type: ignore[no-any-return]

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], -1, self.head_dim).transpose(-3, -2)


class GatedMLP(nn.Module):
    """GLM's MLP: SiLU of the first half of gate_up times the second."""

    def __init__(self, geometry: ActorGeometry) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(geometry.width, 2 * geometry.ffn_width, bias=False)
        self.down_proj = nn.Linear(geometry.ffn_width, geometry.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(up * functional.silu(gate))  # type: ignore[no-any-return]


class VideoLayer(nn.Module):
    """Self-attention, cross-attention to the chunk's condition, MLP; each on a normed residual.

    Where `recompute` is set nothing inside is kept for the backward pass, which computes it again.
    """

    recompute = False

    def __init__(self, geometry: ActorGeometry, index: int) -> None:
        super().__init__()
        self.index = index
        width, eps = geometry.width, geometry.norm_eps
        self.input_layernorm = nn.RMSNorm(width, eps)
        self.self_attn = Attention(geometry, width)
        self.cross_attention_layernorm = nn.RMSNorm(width, eps)
        self.cross_attn = Attention(geometry, geometry.condition_width)
        self.post_attention_layernorm = nn.RMSNorm(width, eps)
        self.mlp = GatedMLP(geometry)

    def forward(
        self, x: Tensor, view: SelfView, cross: CrossView | None
    ) -> tuple[Tensor, KeyValues]:
        """(B, N, C) to the same, and the tokens' own un-rotated keys and values (B, G, N, E)."""
        if not (self.recompute and torch.is_grad_enabled()):
            return self._through(x, view, cross)
        kept: tuple[Tensor, KeyValues] = checkpoint(
            self._through, x, view, cross, use_reentrant=False, preserve_rng_state=False
        )
        return kept

    def _through(
        self, x: Tensor, view: SelfView, cross: CrossView | None
    ) -> tuple[Tensor, KeyValues]:
        normed = self.input_layernorm(x)
        own = self.self_attn.key_values(normed)
        seen = view.extend(self.index, rotate(own.keys, view.rotation), own.values)
        queries = self.self_attn.queries(normed, view.rotation)
        x = x + self.self_attn.attend(queries, seen, view.mask)
        if cross is not None:
            x = x + self._read_condition(self.cross_attention_layernorm(x), cross)
        x = x + self.mlp(self.post_attention_layernorm(x))
        return x, own

    def _read_condition(self, x: Tensor, cross: CrossView) -> Tensor:
        """Each chunk of T tokens reads its own slots only: chunks become rows."""
        slots = cross.slots[self.index]
        rows = slots.keys.shape[:2].numel()
        queries = self.cross_attn.queries(x.reshape(rows, -1, x.shape[-1]), cross.rotation)
        slots = KeyValues(slots.keys.flatten(0, 1), slots.values.flatten(0, 1))
        mask = cross.mask.expand(-1, -1, queries.shape[-2], -1)
        return self.cross_attn.attend(queries, slots, mask).reshape(x.shape)


def attention_over_heads(queries: Tensor, seen: KeyValues, mask: Tensor) -> Tensor:
    """(B, H, N, E), the heads of each group over its keys; mask (B or 1, 1, N, all keys)."""
    return functional.scaled_dot_product_attention(
        queries, seen.keys, seen.values, attn_mask=mask, enable_gqa=True
    )


def attention_by_group(queries: Tensor, seen: KeyValues, mask: Tensor) -> Tensor:
    """The same with each group as a row of its own, whose keys are shared without a copy.

    CUDA's fused kernels take shared heads or a mask, not both: with both PyTorch falls back to
    logits in memory and single precision (its pull request 191085).
    """
    rows, groups = seen.keys.shape[:2]
    grouped = queries.reshape(rows * groups, -1, *queries.shape[2:])  # (B G, H / G, N, E)
    keys, values = (
        part.flatten(0, 1).unsqueeze(1).expand(-1, grouped.shape[1], -1, -1) for part in seen
    )
    mask = mask.expand(rows, groups, -1, -1).flatten(0, 1).unsqueeze(1)
    mixed = functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return mixed.reshape(queries.shape)


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to logits: 0 where `seen`, minus infinity where not."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, -torch.inf)


def two_layers(inputs: int, width: int) -> nn.Sequential:
    """The MLP that brings something of another kind to the model's width."""
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))


def begin_linears(module: nn.Module) -> None:
    """What a linear layer makes begins as large as what it reads."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
