"""Between pictures, the autoencoder's latents and the Actor's tokens.

The Actor's tokens are (T, D), rows of the latent's grid one after the other, each channel in units
of its mean and spread over LTX-Video's training set.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]
WHITE: Final = 127.5
"""Pixels are -1..1 for the autoencoder."""


@dataclass(frozen=True)
class LatentSpace:
    """Where each channel lies, and the grid (h, w) of a picture's tokens."""

    mean: Tensor  # (D, 1, 1, 1)
    unit: Tensor  # (D, 1, 1, 1)
    grid: tuple[int, int]

    @classmethod
    def of(cls, autoencoder: AutoencoderKLLTXVideo, height: int, width: int) -> Self:
        """That of the autoencoder's pictures of this size. Raises ValueError for odd sizes."""
        pixels = autoencoder.spatial_compression_ratio
        if height % pixels or width % pixels or not height * width:
            raise ValueError(f"pictures of {width}x{height}: sides must be multiples of {pixels}")
        mean, std = (
            part.float().reshape(-1, 1, 1, 1)
            for part in (autoencoder.latents_mean, autoencoder.latents_std)
        )
        unit = std / autoencoder.config.scaling_factor
        return cls(mean, unit, (height // pixels, width // pixels))

    @property
    def token_shape(self) -> tuple[int, int]:
        """(T, D) of one latent frame."""
        return self.grid[0] * self.grid[1], len(self.mean)

    def tokens(self, latents: Tensor) -> Tensor:
        """(B, K T, D), normalised, in the order t, h, w, of (B, D, K, h, w)."""
        return ((latents.float() - self.mean) / self.unit).flatten(2).transpose(1, 2)

    def latents(self, tokens: Tensor) -> Tensor:
        """(B, D, K, h, w) as the decoder wants them of (B, K T, D). Raises ValueError."""
        if tokens.ndim != 3 or tokens.shape[2] != len(self.mean) or tokens.shape[1] % self._area:
            raise ValueError(
                f"tokens are {tuple(tokens.shape)}, this autoencoder's are "
                f"(batch, times of {self._area}, {len(self.mean)})"
            )
        rows, _, channels = tokens.shape
        normalised = tokens.float().transpose(1, 2).reshape(rows, channels, -1, *self.grid)
        return normalised * self.unit + self.mean

    @property
    def _area(self) -> int:
        return self.grid[0] * self.grid[1]


def pixels_of(pictures: Picture, like: Tensor) -> Tensor:
    """(1, 3, F, H, W), -1..1, of RGB pictures (F, H, W, 3), on the device of `like`."""
    there = torch.from_numpy(np.ascontiguousarray(pictures)).to(like.device)
    return (there.permute(3, 0, 1, 2)[None].float() / WHITE - 1).to(like.dtype)


def pictures_of(frames: Tensor) -> Picture:
    """RGB pictures (F, H, W, 3) of decoded frames (1, 3, F, H, W), about -1..1."""
    scaled = ((frames[0].float() + 1) * WHITE).round().clamp(0, 255).to(torch.uint8)
    pictures: Picture = scaled.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return pictures
