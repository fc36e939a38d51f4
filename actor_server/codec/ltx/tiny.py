"""`python -m actor_server.codec.ltx.tiny --out DIR`: a small random autoencoder, diffusers' layout.

It has LTX-Video's class, ratios and channels of a latent, and draws coloured tiles: enough for
whole calls without the released weights.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    AutoencoderKLLTXVideo,
    LTXVideoUpsampler3d,
)

from actor_server.codec.ltx.checkpoint import save_autoencoder

TINY: Final[dict[str, Any]] = {
    "block_out_channels": (8, 8, 8),
    "down_block_types": ("LTXVideoDownBlock3D",) * 3,
    "downsample_type": ("conv",) * 3,
    "spatio_temporal_scaling": (True,) * 3,
    "layers_per_block": (1,) * 4,
    "decoder_block_out_channels": (4, 4, 4),
    "decoder_spatio_temporal_scaling": (True,) * 3,
    "decoder_layers_per_block": (1,) * 4,
    "decoder_inject_noise": (False,) * 4,
    "upsample_residual": (False,) * 3,
    "upsample_factor": (1,) * 3,
    "decoder_causal": True,
}
LIGHT: Final[dict[str, Any]] = TINY | {
    "decoder_block_out_channels": (2, 2, 4),
    "decoder_layers_per_block": (0, 1, 1, 1),
}
"""Calls are drawn with it: nothing is done where pictures are largest, so slow machines keep up."""
CONTRAST: Final = 4.0
"""Of the last layer, so that frames fill the range of their pixels."""


def random_autoencoder(config: dict[str, Any], seed: int = 0) -> AutoencoderKLLTXVideo:
    """An autoencoder whose weights and latent statistics are random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = AutoencoderKLLTXVideo(**config)
        autoencoder.latents_mean.normal_(std=0.5)
        autoencoder.latents_std.uniform_(0.5, 2.0)
        with torch.no_grad():
            autoencoder.decoder.conv_out.conv.weight.mul_(CONTRAST)
    return autoencoder.eval().requires_grad_(False)


@torch.no_grad()
def tiled(autoencoder: AutoencoderKLLTXVideo) -> AutoencoderKLLTXVideo:
    """The same in pale tiles: a video encoder leaves nothing of noise, and chokes on flicker."""
    decoder = autoencoder.decoder
    upsamplers = [one for one in decoder.modules() if isinstance(one, LTXVideoUpsampler3d)]
    shuffled = [(one.conv, one.stride) for one in upsamplers]
    patch = (decoder.patch_size_t, decoder.patch_size, decoder.patch_size)
    for convolution, (frames, rows, columns) in [*shuffled, (decoder.conv_out, patch)]:
        for part in (convolution.conv.weight, convolution.conv.bias):
            pixels = part.view(-1, frames, rows, columns, *part.shape[1:])
            pixels.copy_(pixels[:, :, :1, :1].clone())
    decoder.conv_out.conv.weight.div_(CONTRAST)
    return autoencoder


def main() -> None:
    """Write a tiny autoencoder where the command line says."""
    parser = argparse.ArgumentParser(description="Write a tiny random LTX autoencoder.")
    parser.add_argument("--out", type=Path, required=True, help="directory to write into")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    save_autoencoder(chosen.out, tiled(random_autoencoder(LIGHT, chosen.seed)))


if __name__ == "__main__":
    main()
