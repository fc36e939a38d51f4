"""A tiny Actor with random weights and random conditions, for laws that hold at every size."""

from dataclasses import fields

import torch

from actor_server.model.conditioner import Conditions
from actor_server.model.geometry import TINY, ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import (
    CUE_NUMBERS,
    HEARD_SLOTS,
    KINDS,
    PHONE_BINS,
    PHONES,
    TEXT_SLOTS,
)
from proto.time_law import CHUNK_FRAMES


def tiny_actor(
    geometry: ActorGeometry = TINY, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> VideoTransformer:
    """Every parameter is random: nothing is hidden behind a weight that begins at zero."""
    torch.manual_seed(seed)
    model = VideoTransformer(geometry).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model.requires_grad_(False)


def random_conditions(
    rows: int, chunks: int, geometry: ActorGeometry = TINY, *, seed: int = 0
) -> Conditions:
    dice = torch.Generator().manual_seed(seed)
    lead, sight = (rows, chunks), geometry.sight

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*lead, *shape, generator=dice)

    def coin(*shape: int) -> torch.Tensor:
        return torch.rand(*lead, *shape, generator=dice) < 0.7

    return Conditions(
        audio=normal(sight.slots, geometry.audio_width).half(),
        audio_seen=coin(sight.slots),
        phones=torch.randint(PHONES, (*lead, sight.slots, PHONE_BINS), generator=dice).byte(),
        heard=normal(HEARD_SLOTS, 640).half(),
        heard_seen=coin(HEARD_SLOTS),
        text=normal(TEXT_SLOTS, sight.state_width).half(),
        text_seen=coin(TEXT_SLOTS),
        text_at=normal(TEXT_SLOTS),
        kind=torch.randint(len(KINDS), lead, generator=dice).byte(),
        cues=normal(CHUNK_FRAMES, CUE_NUMBERS).half(),
        dropped=~coin(),
    )


def random_latents(
    rows: int, chunks: int, geometry: ActorGeometry = TINY, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """reference (B, R, D), latents (B, K, T, D), levels (B, K)."""
    dice = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(rows, *shape, generator=dice, dtype=torch.float64)

    reference = normal(geometry.reference_tokens, geometry.latent_dim)
    latents = normal(chunks, geometry.tokens, geometry.latent_dim)
    return reference, latents, torch.rand(rows, chunks, generator=dice, dtype=torch.float64)


def with_noise_where(conditions: Conditions, chunk: int, *, only_unseen: bool) -> Conditions:
    """The same conditions with one chunk's arrays replaced; or only what it does not see."""
    other = random_conditions(*conditions.kind.shape, seed=99)
    parts = {}
    for part in fields(conditions):
        old = getattr(conditions, part.name)
        new = old.clone()
        seen = getattr(conditions, f"{part.name}_seen", None)
        if part.name == "phones":
            seen = conditions.audio_seen
        if not only_unseen:
            new[:, chunk] = getattr(other, part.name)[:, chunk]
        elif seen is not None:
            new[:, chunk][~seen[:, chunk]] = getattr(other, part.name)[:, chunk][~seen[:, chunk]]
        parts[part.name] = new
    return Conditions(**parts)
