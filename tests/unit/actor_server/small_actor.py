"""A transformer of motion latents that is small and random, but reads all it is given."""

import dataclasses

import torch

from actor_server.codec.mesh.latent import LATENT_STD
from actor_server.model.conditioner import MOMENT_GAIN
from actor_server.model.geometry import NANO
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.diffusion import DiffusionMotion
from actor_server.motion.limits import within_limits

SMALL = dataclasses.replace(
    NANO, layers=2, width=32, heads=2, kv_heads=1, head_dim=16, ffn_width=48, rotary_pairs=(2, 1, 1)
)


def small_model(seed: int = 7) -> VideoTransformer:
    """Every parameter random: a fresh model would predict no motion and read no condition."""
    model = VideoTransformer(SMALL).eval().requires_grad_(False)
    dice = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        fan_in = parameter.shape[-1] if parameter.ndim > 1 else 4
        parameter.copy_(torch.randn(parameter.shape, generator=dice) * fan_in**-0.5)
    assert model.conditioner.moment_in is not None
    for parameter in model.conditioner.moment_in[-1].parameters():
        parameter.div_(MOMENT_GAIN)  # moments no larger than what they are added to
    model.latent_mean.copy_(torch.randn(SMALL.latent_dim, generator=dice) * 0.1)
    model.latent_std.copy_(torch.from_numpy(LATENT_STD.copy()))
    return model


def small_diffusion(
    steps: int,
    window: int,
    max_sessions: int = 4,
    *,
    batched: bool = False,
    graphs: bool = False,
) -> DiffusionMotion:
    """In double precision: a chunk's sums are rounded otherwise in passes of other sizes."""
    model = small_model().double()
    return DiffusionMotion(
        model, steps, window, max_sessions, within_limits, batched=batched, graphs=graphs
    )
