"""The velocity field of flow matching: Matcha-TTS's U-Net over mel frames.

Module names are those of the released checkpoint. Source: Matcha-TTS (arXiv 2309.03199), section 3.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from actor_server.speech.geometry import MEL_BINS, FlowGeometry

INPUTS: Final = 4 * MEL_BINS
"""x, mu, the speaker in every frame, and the frames already known."""
TIME_SCALE: Final = 1000.0
GROUPS: Final = 8


class ConvBlock(nn.Module):
    """Convolution, group norm, Mish."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        conv = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.block = nn.Sequential(conv, nn.GroupNorm(GROUPS, outputs), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two convolution blocks, with the time of the flow added between them."""

    def __init__(self, inputs: int, outputs: int, time_width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_width, outputs))
        self.block1 = ConvBlock(inputs, outputs)
        self.block2 = ConvBlock(outputs, outputs)
        self.res_conv = nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (B, C, F), time (B, D) to (B, outputs, F)."""
        inner = self.block1(x) + self.mlp(time)[:, :, None]
        return self.block2(inner) + self.res_conv(x)  # type: ignore[no-any-return]


class FrameAttention(nn.Module):
    """Self-attention over all frames, without positions."""

    def __init__(self, geometry: FlowGeometry) -> None:
        super().__init__()
        width, self.heads = geometry.unet_width, geometry.unet_heads
        inner = geometry.unet_heads * geometry.unet_head_dim
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, C) to the same."""
        queries, keys, values = (
            linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear in (self.to_q, self.to_k, self.to_v)
        )  # (B, H, F, E)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return self.to_out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Gelu(nn.Module):
    """A linear layer and the exact GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.proj(x))


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each on a normed residual."""

    def __init__(self, geometry: FlowGeometry) -> None:
        super().__init__()
        width = geometry.unet_width
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = FrameAttention(geometry)
        self.norm3 = nn.LayerNorm(width)
        net = nn.Sequential(Gelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))
        self.ff = nn.ModuleDict({"net": net})

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, C) to the same."""
        x = x + self.attn1(self.norm1(x))
        return x + self.ff["net"](self.norm3(x))  # type: ignore[no-any-return]


class TimeMLP(nn.Module):
    """The flow's time to a vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(INPUTS, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        """(B,) to (B, D)."""
        return self.linear_2(functional.silu(self.linear_1(time_wave(time))))  # type: ignore[no-any-return]


class Resampling(nn.Module):
    """A convolution that halves or doubles the number of frames."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class Level(nn.ModuleList):
    """A residual block, its transformer blocks, and perhaps a convolution that leads on."""

    def __init__(self, geometry: FlowGeometry, inputs: int, *onward: nn.Module) -> None:
        width = geometry.unet_width
        blocks = nn.ModuleList(TransformerBlock(geometry) for _ in range(geometry.unet_layers))
        super().__init__([ResidualBlock(inputs, width, 4 * width), blocks, *onward])

    def attend(self, x: Tensor, clock: Tensor) -> Tensor:
        """All but the last convolution: x (B, inputs, F), clock (B, D) to (B, C, F)."""
        residual, blocks, *_ = self
        assert isinstance(blocks, nn.ModuleList)
        x = residual(x, clock).transpose(1, 2)
        for block in blocks:
            x = block(x)
        return x.transpose(1, 2)

    def onward(self, x: Tensor) -> Tensor:
        """The last convolution."""
        return self[2](x)  # type: ignore[no-any-return]


class Estimator(nn.Module):
    """Velocity of a mel on its way from noise to speech."""

    def __init__(self, geometry: FlowGeometry) -> None:
        super().__init__()
        width = geometry.unet_width
        self.time_mlp = TimeMLP(4 * width)
        halve = Resampling(nn.Conv1d(width, width, 3, stride=2, padding=1))
        double = Resampling(nn.ConvTranspose1d(width, width, 4, stride=2, padding=1))
        self.down_blocks = nn.ModuleList(
            [
                Level(geometry, INPUTS, halve),
                Level(geometry, width, nn.Conv1d(width, width, 3, padding=1)),
            ]
        )
        self.mid_blocks = nn.ModuleList(Level(geometry, width) for _ in range(geometry.mid_blocks))
        self.up_blocks = nn.ModuleList(
            [
                Level(geometry, 2 * width, double),
                Level(geometry, 2 * width, nn.Conv1d(width, width, 3, padding=1)),
            ]
        )
        self.final_block = ConvBlock(width, width)
        self.final_proj = nn.Conv1d(width, MEL_BINS, 1)

    def forward(self, inputs: Tensor, time: Tensor) -> Tensor:
        """inputs (B, 4M, F), time (B,) in 0-1 to velocities (B, M, F)."""
        clock = self.time_mlp(time)
        x, skips = inputs, []
        for level in _levels(self.down_blocks):
            skips.append(level.attend(x, clock))
            x = level.onward(skips[-1])
        for level in _levels(self.mid_blocks):
            x = level.attend(x, clock)
        for level in _levels(self.up_blocks):
            skip = skips.pop()
            x = torch.cat([x[:, :, : skip.shape[2]], skip], dim=1)
            x = level.onward(level.attend(x, clock))
        return self.final_proj(self.final_block(x))  # type: ignore[no-any-return]


def _levels(modules: nn.ModuleList) -> list[Level]:
    return [module for module in modules if isinstance(module, Level)]


def time_wave(time: Tensor) -> Tensor:
    """Sines, then cosines, of the flow's time: (B,) to (B, INPUTS)."""
    half = INPUTS // 2
    steps = torch.arange(half, device=time.device, dtype=torch.float32)
    rates = torch.exp(steps * -(math.log(10_000.0) / (half - 1)))
    angles = TIME_SCALE * time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
