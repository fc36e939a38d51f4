"""LTX-Video's decoder, layer by layer, with time left to the caller.

diffusers' forward pass decodes whole clips. Here a `TimeRule` says what a convolution sees of the
frames around it and which frames go on after an upsampler, so that one walk over the layers serves
every way to decode a live stream. On a whole clip it computes what diffusers computes.

Source: diffusers 0.42.1, `LTXVideoDecoder3d`; LTX-Video (arXiv 2501.00103), section 2.
"""

from math import prod
from typing import Final, Protocol

from diffusers.models.autoencoders.autoencoder_kl_ltx import (
    LTXVideoCausalConv3d,
    LTXVideoDecoder3d,
    LTXVideoMidBlock3d,
    LTXVideoResnetBlock3d,
    LTXVideoUpBlock3d,
    LTXVideoUpsampler3d,
)
from diffusers.models.embeddings import PixArtAlphaCombinedTimestepSizeEmbeddings
from diffusers.models.normalization import RMSNorm
from torch import Tensor, nn

TIMESTEP: Final = 0.05
"""What decoders since 0.9.1 are told of the noise in their latents; ours have none."""


class TimeRule(Protocol):
    """How one walk over the decoder treats time. Frames are (B, C, F, H, W)."""

    def convolve(self, layer: LTXVideoCausalConv3d, x: Tensor) -> Tensor:
        """The layer's convolution, F frames in and F out."""

    def enlarged(self, x: Tensor, factor: int) -> Tensor:
        """What goes on of the frames that an upsampler made, `factor` of each."""


def walk(decoder: LTXVideoDecoder3d, latents: Tensor, time: TimeRule) -> Tensor:
    """Frames (B, 3, F, H, W), about -1..1, of latents (B, D, K, h, w) as the encoder makes them."""
    level = None
    if decoder.timestep_scale_multiplier is not None:
        level = (decoder.timestep_scale_multiplier.detach().float() * TIMESTEP).reshape(1)
    x = time.convolve(decoder.conv_in, latents)
    x = _resnets(decoder.mid_block, x, level, time)
    for block in decoder.up_blocks:
        if block.conv_in is not None:
            x = _resnet(block.conv_in, x, None, time)
        for upsampler in block.upsamplers or ():
            x = _upsample(upsampler, x, time)
        x = _resnets(block, x, level, time)
    x = _over_channels(decoder.norm_out, x)
    if level is not None:
        table = decoder.scale_shift_table
        shift, scale = _modulation(decoder.time_embedder, table, level, x)
        x = x * (1 + scale) + shift
    x = time.convolve(decoder.conv_out, decoder.conv_act(x))
    return _unpatched(x, decoder.patch_size)


def reaches(decoder: LTXVideoDecoder3d) -> list[int]:
    """Frames to each side that a picture depends on: of the latents, and after each upsampler."""
    counts, entering = [0], False
    for module in decoder.modules():  # in the order of the walk
        if isinstance(module, LTXVideoUpsampler3d):
            entering = True
        elif isinstance(module, LTXVideoCausalConv3d):
            counts[-1] += module.kernel_size[0] // 2
            if entering:
                counts.append(0)
            entering = False
    found = [counts.pop()]
    while counts:
        found.append(counts.pop() + (found[-1] + 1) // 2)
    return found[::-1]


def _resnets(
    block: LTXVideoMidBlock3d | LTXVideoUpBlock3d, x: Tensor, level: Tensor | None, time: TimeRule
) -> Tensor:
    for resnet in block.resnets:
        modulation = None
        if block.time_embedder is not None:
            modulation = _modulation(block.time_embedder, resnet.scale_shift_table, level, x)
        x = _resnet(resnet, x, modulation, time)
    return x


def _resnet(
    block: LTXVideoResnetBlock3d, x: Tensor, modulation: tuple[Tensor, ...] | None, time: TimeRule
) -> Tensor:
    y = _over_channels(block.norm1, x)
    if modulation is not None:
        y = y * (1 + modulation[1]) + modulation[0]
    y = time.convolve(block.conv1, block.nonlinearity(y))
    y = _over_channels(block.norm2, y)
    if modulation is not None:
        y = y * (1 + modulation[3]) + modulation[2]
    y = time.convolve(block.conv2, block.dropout(block.nonlinearity(y)))
    if block.norm3 is not None:
        x = _over_channels(block.norm3, x)
    if block.conv_shortcut is not None:
        x = time.convolve(block.conv_shortcut, x)
    return x + y


def _upsample(layer: LTXVideoUpsampler3d, x: Tensor, time: TimeRule) -> Tensor:
    y = _unfolded(time.convolve(layer.conv, x), layer.stride)
    if layer.residual:
        repeats = prod(layer.stride) // layer.upscale_factor
        y = y + _unfolded(x, layer.stride).repeat(1, repeats, 1, 1, 1)
    return time.enlarged(y, layer.stride[0])


def _over_channels(norm: RMSNorm | nn.LayerNorm, x: Tensor) -> Tensor:
    normed: Tensor = norm(x.movedim(1, -1))
    return normed.movedim(-1, 1)


def _modulation(
    embedder: PixArtAlphaCombinedTimestepSizeEmbeddings,
    table: nn.Parameter,
    level: Tensor | None,
    x: Tensor,
) -> tuple[Tensor, ...]:
    """Shift and scale by turns, (1, C, 1, 1, 1) each; as many as the table (P, C) has."""
    embedded = embedder(
        timestep=level, resolution=None, aspect_ratio=None, batch_size=1, hidden_dtype=x.dtype
    )
    both: Tensor = embedded.reshape(1, *table.shape) + table
    return both[..., None, None, None].unbind(dim=1)


def _unfolded(x: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """Channels become places: (B, C p q r, F, H, W) to (B, C, F p, H q, W r)."""
    rows, _, *places = x.shape
    apart = x.reshape(rows, -1, *stride, *places)  # (B, C, p, q, r, F, H, W)
    return apart.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _unpatched(x: Tensor, size: int) -> Tensor:
    """Channels become pixels: (B, 3 r q, F, H, W) to (B, 3, F, H q, W r)."""
    rows, _, *places = x.shape
    apart = x.reshape(rows, -1, size, size, *places)  # (B, 3, r, q, F, H, W)
    return apart.permute(0, 1, 4, 5, 3, 6, 2).flatten(5, 6).flatten(3, 4)
