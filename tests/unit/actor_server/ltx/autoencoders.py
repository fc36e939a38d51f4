"""Tiny autoencoders with random weights, built like the releases of LTX-Video."""

from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from torch import Tensor

from actor_server.codec.ltx.checkpoint import silence
from actor_server.codec.ltx.layers import TIMESTEP
from actor_server.codec.ltx.tiny import TINY, random_autoencoder

CHANNELS: Final = 6
GRID: Final = 2
"""Of 64 x 64 pixels."""

V090: Final[dict[str, Any]] = TINY | {
    "latent_channels": CHANNELS,
    "decoder_block_out_channels": (8, 8, 16),
    "decoder_causal": False,
}
V091: Final = V090 | {
    "decoder_block_out_channels": (8, 16, 32),
    "decoder_inject_noise": (True, True, True, False),
    "upsample_residual": (True,) * 3,
    "upsample_factor": (2,) * 3,
    "timestep_conditioning": True,
}
V095: Final = V091 | {
    "block_out_channels": (8, 8, 8, 8, 16),
    "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    "spatio_temporal_scaling": (True,) * 4,
    "layers_per_block": (1,) * 5,
    "decoder_inject_noise": (False,) * 4,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}
RELEASES: Final = {"0.9.0": V090, "0.9.1": V091, "0.9.5": V095}


def autoencoder_like(release: str, *, causal: bool = False) -> AutoencoderKLLTXVideo:
    """Without its decoder's noise."""
    made = random_autoencoder(RELEASES[release] | {"decoder_causal": causal})
    silence(made)
    return made


def random_latents(count: int, channels: int = CHANNELS, seed: int = 0) -> Tensor:
    """(1, D, K, h, w) as an encoder might make them."""
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, count, GRID, GRID, generator=dice)


def whole_decode(autoencoder: AutoencoderKLLTXVideo, latents: Tensor) -> Tensor:
    """diffusers' own decode of a whole clip: (1, 3, 8 K - 7, H, W)."""
    told = None
    if autoencoder.config.timestep_conditioning:
        told = torch.full((1,), TIMESTEP)
    decoded: Tensor = autoencoder.decode(latents, told).sample
    return decoded


def chunk_frames(clip: Tensor, chunk: int) -> Tensor:
    """A chunk's eight frames of a clip that begins with the reference's own one."""
    return clip[:, :, 1 + 8 * chunk : 9 + 8 * chunk]
