"""Mel frames to samples: a generator in the spectral domain, driven by a harmonic source.

Module names are those of the released checkpoint. Source: HiFT-Net (arXiv 2309.09493); Snake
activations (arXiv 2006.08195).
"""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from actor_server.speech.geometry import MEL_BINS, VocoderGeometry
from actor_server.speech.harmonic_source import Draws, HarmonicSource, PitchPredictor

FFT_SAMPLES: Final = 16
FFT_HOP: Final = 4
FFT_BINS: Final = FFT_SAMPLES // 2 + 1
STRIDE: Final = 8
"""Each of the two stages makes 8 steps of one; the inverse transform makes 4 samples of a step."""
KERNELS: Final = (3, 7, 11)
SOURCE_KERNELS: Final = (7, 11)
DILATIONS: Final = (1, 3, 5)
STAGE_SLOPE: Final = 0.1
LAST_SLOPE: Final = 0.01
"""Before the last convolution the slope is another one: so the weights were trained."""
MAX_MAGNITUDE: Final = 100.0
PEAK: Final = 0.99


class Snake(nn.Module):
    """x + sin^2(a x) / a, with a learned a for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        return x + torch.sin(alpha * x).square() / (alpha + 1e-9)


class DilatedBlock(nn.Module):
    """Residual convolutions of growing dilation."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same(width, kernel, dilation) for dilation in DILATIONS)
        self.convs2 = nn.ModuleList(_same(width, kernel, 1) for _ in DILATIONS)
        self.activations1 = nn.ModuleList(Snake(width) for _ in DILATIONS)
        self.activations2 = nn.ModuleList(Snake(width) for _ in DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L') to the same."""
        layers = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for snake1, conv1, snake2, conv2 in layers:
            x = x + conv2(snake2(conv1(snake1(x))))
        return x


class Vocoder(nn.Module):
    """Mel to speech at 22 050 Hz. Module names are those of the released `hift.pt`."""

    def __init__(self, geometry: VocoderGeometry) -> None:
        super().__init__()
        widths = [geometry.width >> stage for stage in range(3)]
        self.f0_predictor = PitchPredictor(geometry.f0_width)
        self.m_source = HarmonicSource()
        self.conv_pre = weight_norm(nn.Conv1d(MEL_BINS, widths[0], 7, padding=3))
        self.ups = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(wide, narrow, 16, stride=STRIDE, padding=4))
            for wide, narrow in pairwise(widths)
        )
        self.source_downs = nn.ModuleList(
            [
                nn.Conv1d(2 * FFT_BINS, widths[1], 16, stride=STRIDE, padding=4),
                nn.Conv1d(2 * FFT_BINS, widths[2], 1),
            ]
        )
        self.source_resblocks = nn.ModuleList(
            DilatedBlock(width, kernel)
            for width, kernel in zip(widths[1:], SOURCE_KERNELS, strict=True)
        )
        self.resblocks = nn.ModuleList(
            DilatedBlock(width, kernel) for width in widths[1:] for kernel in KERNELS
        )
        self.conv_post = weight_norm(nn.Conv1d(widths[2], 2 * FFT_BINS, 7, padding=3))

    def fold_weight_norm(self) -> None:
        """Compute each normed weight once instead of in every call. For inference only."""
        for module in self.modules():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")

    def forward(
        self, mel: Tensor, draws: Draws, earlier: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Samples and the excitation that made them.

        Shapes: mel (B, M, F); earlier (B, 1, E), the excitation of the first samples where it is
        known. Out: (B, L) in +-0.99 and (B, 1, L), L = 256 F.
        """
        source = self.m_source(self.f0_predictor(mel), draws)
        if earlier is not None:
            source = torch.cat([earlier, source[:, :, earlier.shape[2] :]], dim=2)
        return self._to_samples(self._spectrum(mel, self._analyse(source))), source

    def _spectrum(self, mel: Tensor, source: Tensor) -> Tensor:
        """Log magnitudes, then phases: (B, 18, L / 4 + 1)."""
        x = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, STAGE_SLOPE))
            if stage == len(self.ups) - 1:
                x = functional.pad(x, (1, 0), mode="reflect")  # the transform's extra step
            x = x + self.source_resblocks[stage](self.source_downs[stage](source))
            blocks = [self.resblocks[len(KERNELS) * stage + j](x) for j in range(len(KERNELS))]
            x = torch.stack(blocks).mean(0)
        return self.conv_post(functional.leaky_relu(x, LAST_SLOPE))  # type: ignore[no-any-return]

    def _analyse(self, source: Tensor) -> Tensor:
        """Real rows, then imaginary rows, of the source's spectrum: (B, 18, L / 4 + 1)."""
        window = torch.hann_window(FFT_SAMPLES, device=source.device)
        spectrum = torch.stft(
            source.squeeze(1), FFT_SAMPLES, FFT_HOP, window=window, return_complex=True
        )
        return torch.cat([spectrum.real, spectrum.imag], dim=1)

    def _to_samples(self, spectrum: Tensor) -> Tensor:
        """(B, 18, L / 4 + 1) to (B, L)."""
        magnitude = spectrum[:, :FFT_BINS].exp().clamp(max=MAX_MAGNITUDE)
        # The sine is the trained nonlinearity of the phase, in radians.
        phase = torch.sin(spectrum[:, FFT_BINS:])
        window = torch.hann_window(FFT_SAMPLES, device=spectrum.device)
        samples = torch.istft(torch.polar(magnitude, phase), FFT_SAMPLES, FFT_HOP, window=window)
        return samples.clamp(-PEAK, PEAK)


def _same(width: int, kernel: int, dilation: int) -> nn.Module:
    """A weight-normed convolution that keeps the length."""
    padding = (kernel - 1) * dilation // 2
    return weight_norm(nn.Conv1d(width, width, kernel, dilation=dilation, padding=padding))  # type: ignore[no-any-return]
