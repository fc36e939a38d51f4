"""The Actor's transformer: noisy latents of chunks and their conditions in, velocities out.

It works on normalised latents; `latent_mean` and `latent_std` say how the codec's become them.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from actor_server.model.conditioner import Conditioner, Conditions
from actor_server.model.geometry import ActorGeometry
from actor_server.model.layers import (
    ConditionSlots,
    CrossView,
    KeyValues,
    SelfView,
    VideoLayer,
    additive,
    begin_linears,
    two_layers,
)
from actor_server.model.mask import SightRules, oldest_seen, video_mask
from actor_server.model.rotary import (
    Rotation,
    chunk_positions,
    reference_positions,
    rotate,
    rotation_at,
    rotation_in_time,
    token_positions,
)

LEVEL_WAVES = 128
LEVEL_SCALE = 1000.0
"""Levels in [0, 1] are spread as the thousand steps of the diffusion literature are."""

Extend = Callable[[int, Tensor, Tensor], KeyValues]


class VideoTransformer(nn.Module):
    """GLM's layers over video tokens with cross-attention to conditions. Source: section 3.2."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, geometry: ActorGeometry) -> None:
        super().__init__()
        self.geometry = geometry
        width, latent = geometry.width, geometry.latent_dim
        self.latent_in = two_layers(latent, width)
        self.level_in = two_layers(2 * LEVEL_WAVES, width)
        self.token_place = nn.Parameter(torch.zeros(geometry.tokens, width))
        self.reference_mark = nn.Parameter(torch.zeros(geometry.reference_tokens, width))
        self.conditioner = Conditioner(geometry)
        self.layers = nn.ModuleList(VideoLayer(geometry, i) for i in range(geometry.layers))
        self.norm = nn.RMSNorm(width, geometry.norm_eps)
        self.velocity = nn.Linear(width, latent)
        self.register_buffer("latent_mean", torch.zeros(latent))
        self.register_buffer("latent_std", torch.ones(latent))
        self._initialise()

    @property
    def dtype(self) -> torch.dtype:
        return self.token_place.dtype

    @property
    def device(self) -> torch.device:
        return self.token_place.device

    def forward(
        self,
        reference: Tensor,
        latents: Tensor,
        levels: Tensor,
        conditions: Conditions,
        *,
        token_causal: bool = False,
        use_reference: bool = True,
        window_start: int | None = None,
    ) -> Tensor:
        """Velocities of whole sequences at once, each chunk at its own noise level.

        Shapes: reference (B, R, D), latents (B, K, T, D), levels (B, K) in [0, 1]; returns
        (B, K, T, D). Chunk c sees the reference, the 31 chunks before it and itself, and of the
        conditions only its own. Chunks from `window_start` on are in flight together: all of them
        see the 31 before the first.
        """
        chunks = latents.shape[1]
        pinned = self.encode_reference(reference)
        oldest = oldest_seen(chunks, self.geometry, window_start)
        rules = SightRules(token_causal, use_reference)
        mask = video_mask(oldest, self.geometry, rules).to(self.device)
        copies = self.reference_rotation(torch.arange(int(oldest.max()) + 1) - 1)
        view = SelfView(
            self.chunk_rotation(torch.arange(chunks)),
            additive(mask, self.dtype),
            _behind_reference(pinned, copies),
        )
        slots = self.condition_slots(conditions)
        told = self.embed_levels(levels).unsqueeze(-2) + slots.moments
        cross = self.cross_view(slots.layers, slots.seen, self.time_rotation())
        return self.velocities(latents, told, view, cross)[0]

    def recompute_layers(self, recompute: bool) -> None:
        """Whether training trades work for memory (gradient checkpointing); see `VideoLayer`."""
        for layer in self.layers:
            assert isinstance(layer, VideoLayer)
            layer.recompute = recompute

    def velocities(
        self, latents: Tensor, told: Tensor, view: SelfView, cross: CrossView
    ) -> tuple[Tensor, list[KeyValues]]:
        """One pass over chunks: velocities (B, K, T, D) and every layer's own keys and values.

        `told` (B, K, T or 1, C) is what tokens know of themselves: embedded levels and moments.
        """
        x = self.latent_in(latents.to(self.dtype)) + self.token_place + told
        hidden, own = self.run_layers(x.flatten(1, 2), view, cross)
        return self.velocity(self.norm(hidden)).unflatten(1, latents.shape[1:3]), own

    def run_layers(
        self, x: Tensor, view: SelfView, cross: CrossView | None
    ) -> tuple[Tensor, list[KeyValues]]:
        """(B, N, C) through all layers; also every layer's own un-rotated keys and values."""
        own: list[KeyValues] = []
        for layer in self.layers:
            x, key_values = layer(x, view, cross)
            own.append(key_values)
        return x, own

    def encode_reference(self, reference: Tensor) -> list[KeyValues]:
        """Each layer's un-rotated keys and values (B, G, R, E) of the clean portrait (B, R, D).

        The reference comes first and sees nothing but itself, so it is computed once.
        """
        x = self.latent_in(reference.to(self.dtype)) + self.reference_mark
        x = x + self.embed_levels(x.new_zeros(1, 1))
        rotation = self.reference_rotation(torch.zeros(1))
        view = SelfView(rotation, x.new_zeros(1, 1, x.shape[1], x.shape[1]), _only_own)
        return self.run_layers(x, view, None)[1]

    def condition_slots(self, conditions: Conditions) -> ConditionSlots:
        """Every layer's keys and values of the conditions, and what tokens are told themselves."""
        memory = self.conditioner(conditions)
        rotation = rotation_in_time(memory.times, self.geometry, self.dtype).over_heads()
        slots = []
        for layer in self.layers:
            assert isinstance(layer, VideoLayer)
            keys, values = layer.cross_attn.key_values(memory.states)
            slots.append(KeyValues(rotate(keys, rotation), values))
        return ConditionSlots(slots, memory.seen, self.conditioner.moments(conditions))

    def cross_view(self, layers: list[KeyValues], seen: Tensor, rotation: Rotation) -> CrossView:
        """Tokens look at their chunk's slots, both as `ConditionSlots` has them; `rotation` is
        `time_rotation`'s."""
        mask = additive(seen.flatten(0, 1)[:, None, None], self.dtype)
        return CrossView(rotation, layers, mask)

    def time_rotation(self) -> Rotation:
        """Of a chunk's tokens by their own time in it, (T, E): what cross-attention asks from."""
        times = token_positions(self.geometry)[:, 0].to(self.device)
        return rotation_in_time(times, self.geometry, self.dtype)

    def chunk_rotation(self, chunks: Tensor) -> Rotation:
        """Of the tokens of `chunks` (..., K): (..., 1, K * T, E)."""
        at = chunk_positions(chunks.to(self.device), self.geometry).flatten(-3, -2)
        return rotation_at(at, self.geometry, self.dtype).over_heads()

    def reference_rotation(self, places: Tensor) -> Rotation:
        """Of the reference seen from `places` (..., copies): (..., 1, copies * R, E)."""
        at = reference_positions(places.to(self.device), self.geometry).flatten(-3, -2)
        return rotation_at(at, self.geometry, self.dtype).over_heads()

    def embed_levels(self, levels: Tensor) -> Tensor:
        """(B, K) noise levels to (B, K, C)."""
        exponents = torch.arange(LEVEL_WAVES, dtype=torch.float64, device=levels.device)
        waves = torch.exp(-math.log(10_000.0) * exponents / LEVEL_WAVES)
        phases = LEVEL_SCALE * levels.double()[..., None] * waves
        embedded = torch.cat([phases.cos(), phases.sin()], dim=-1).to(self.dtype)
        return self.level_in(embedded)  # type: ignore[no-any-return]

    def _initialise(self) -> None:
        """Outputs of residual branches begin small, those that read conditions and v at zero."""
        if self.device.type == "meta":
            return  # to scale numbers that are none torch would import sympy
        begin_linears(self)
        nn.init.zeros_(self.velocity.weight)
        if self.conditioner.moment_in is not None:
            nn.init.zeros_(self.conditioner.moment_in[-1].weight)  # type: ignore[arg-type]
        for layer in self.layers:
            assert isinstance(layer, VideoLayer)
            nn.init.zeros_(layer.cross_attn.o_proj.weight)
            for branch in (layer.self_attn.o_proj, layer.mlp.down_proj):
                branch.weight.data /= math.sqrt(2 * len(self.layers))


def _behind_reference(pinned: list[KeyValues], copies: Rotation) -> Extend:
    """Own keys come after one copy of the reference's for each place it is seen from."""
    count = copies.cos.shape[-2] // pinned[0].keys.shape[-2]

    def extend(layer: int, keys: Tensor, values: Tensor) -> KeyValues:
        reference = pinned[layer]
        first_keys = rotate(reference.keys.repeat(1, 1, count, 1), copies)
        first_values = reference.values.repeat(1, 1, count, 1)
        return KeyValues(
            torch.cat([first_keys, keys], dim=2), torch.cat([first_values, values], dim=2)
        )

    return extend


def _only_own(_layer: int, keys: Tensor, values: Tensor) -> KeyValues:
    return KeyValues(keys, values)
