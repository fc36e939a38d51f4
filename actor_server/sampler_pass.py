"""The arithmetic of one pass: tensors in, tensors out, and nothing asked of the host in between.

What changes from pass to pass is in its arguments' tensors, so that a pass of one shape can be
recorded once and replayed (`actor_server.graphs`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from actor_server.model.layers import KeyValues, SelfView
from actor_server.model.rotary import Rotation
from actor_server.model.video_transformer import Extend, VideoTransformer
from actor_server.schedule import ddim_step


class PassInputs(NamedTuple):
    """What the S slots of B rows hold; L layers, M condition slots of a chunk.

    told: levels and moments, as the model reads them; level, lower: as the schedule does, now
    and after the pass; mask: added to the logits; keys, values, seen: the chunks' conditions.
    """

    latents: Tensor  # (B, S, T, D)
    told: Tensor  # (B, S, T or 1, C)
    level: Tensor  # (B, S, 1, 1)
    lower: Tensor  # (B, S, 1, 1)
    cos: Tensor  # (B, 1, S * T, E)
    sin: Tensor  # (B, 1, S * T, E)
    mask: Tensor  # (B, 1, S * T, all keys)
    seen: Tensor  # (B, S, M) bool
    keys: Tensor  # (L, B, S, G, M, E), rotated
    values: Tensor  # (L, B, S, G, M, E)


class PassOutputs(NamedTuple):
    """latents: (B, S, T, D) at the lower levels.

    lead: un-rotated keys and values (L, B, G, T, E) of slot 0, None where it leads nothing in.
    """

    latents: Tensor
    lead: KeyValues | None


def compute_pass(
    model: VideoTransformer, inputs: PassInputs, extend: Extend, time_rotation: Rotation, lead: int
) -> PassOutputs:
    """One step of DDIM for every slot; `lead` is 1 where slot 0 may hold a pending chunk."""
    layers = [
        KeyValues(keys, values)
        for keys, values in zip(inputs.keys.unbind(), inputs.values.unbind(), strict=True)
    ]
    view = SelfView(Rotation(inputs.cos, inputs.sin), inputs.mask, extend)
    cross = model.cross_view(layers, inputs.seen, time_rotation)
    velocity, own = model.velocities(inputs.latents, inputs.told, view, cross)
    velocity = velocity.to(inputs.latents)
    cleaner = ddim_step(inputs.latents, velocity, inputs.level, inputs.lower)
    if not lead:
        return PassOutputs(cleaner, None)
    first = slice(0, model.geometry.tokens)
    keys = torch.stack([part.keys[:, :, first] for part in own])
    values = torch.stack([part.values[:, :, first] for part in own])
    return PassOutputs(cleaner, KeyValues(keys, values))


def blank_inputs(model: VideoTransformer, rows: int, slots: int) -> PassInputs:
    """Zeros of the shapes that a pass of so many rows and slots has, on the model's device."""
    geometry = model.geometry
    own = slots * geometry.tokens
    past = 2 * geometry.reference_tokens + geometry.context_chunks * geometry.tokens
    sampled = torch.promote_types(model.dtype, torch.float32)
    told = len(model.conditioner.slots)
    condition = (geometry.layers, rows, slots, geometry.kv_heads, told, geometry.head_dim)

    def zeros(*shape: int, dtype: torch.dtype = model.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=model.device)

    return PassInputs(
        latents=zeros(rows, slots, geometry.tokens, geometry.latent_dim, dtype=sampled),
        told=zeros(rows, slots, geometry.tokens if geometry.cues else 1, geometry.width),
        level=zeros(rows, slots, 1, 1, dtype=sampled),
        lower=zeros(rows, slots, 1, 1, dtype=sampled),
        cos=zeros(rows, 1, own, geometry.head_dim),
        sin=zeros(rows, 1, own, geometry.head_dim),
        mask=zeros(rows, 1, own, past + own),
        seen=zeros(rows, slots, told, dtype=torch.bool),
        keys=zeros(*condition),
        values=zeros(*condition),
    )
