"""The excitation of the voice: pitch from the mel, and the sines and noise that follow it.

Source: neural source-filter models (arXiv 1910.05967), as in HiFT-Net (arXiv 2309.09493).
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from actor_server.speech.geometry import HARMONICS, MEL_BINS
from actor_server.speech.mel_clock import HOP_SAMPLES, SAMPLE_HZ

SINE_AMPLITUDE: Final = 0.1
VOICED_NOISE: Final = 0.003
UNVOICED_NOISE: Final = SINE_AMPLITUDE / 3
VOICED_ABOVE_HZ: Final = 10.0
PITCH_LAYERS: Final = 5


class Draws(NamedTuple):
    """The chance in an excitation: phases (B, 9, 1) in radians, noise (B, 9, L), unit variance."""

    phases: Tensor
    noise: Tensor


class PitchPredictor(nn.Module):
    """Fundamental frequency of each mel frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(PITCH_LAYERS):
            conv = nn.Conv1d(width if index else MEL_BINS, width, 3, padding=1)
            layers += [weight_norm(conv), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, M, F) to Hz, (B, F)."""
        return self.classifier(self.condnet(mel).transpose(1, 2)).squeeze(-1).abs()  # type: ignore[no-any-return]


class HarmonicSource(nn.Module):
    """Pitch to one excitation signal: nine harmonics mixed into one."""

    def __init__(self) -> None:
        super().__init__()
        self.l_linear = nn.Linear(HARMONICS, 1)

    def forward(self, f0_hz: Tensor, draws: Draws) -> Tensor:
        """f0 (B, F) to (B, 1, L)."""
        waves = sine_waves(f0_hz, draws)
        return torch.tanh(self.l_linear(waves.transpose(1, 2))).transpose(1, 2)


def sine_waves(f0_hz: Tensor, draws: Draws) -> Tensor:
    """Harmonics where there is a pitch, noise everywhere: (B, F) to (B, 9, L)."""
    pitch = f0_hz.repeat_interleave(HOP_SAMPLES, dim=1)[:, None]  # (B, 1, L)
    overtones = torch.arange(1, HARMONICS + 1, device=pitch.device)[:, None]
    # Summed in double precision, rounded at each sample: a sum in single precision drifts.
    cycles = (pitch * overtones / SAMPLE_HZ).double().cumsum(-1).float()
    sines = SINE_AMPLITUDE * torch.sin(2 * math.pi * (cycles % 1) + draws.phases)
    voiced = pitch > VOICED_ABOVE_HZ
    return sines * voiced + torch.where(voiced, VOICED_NOISE, UNVOICED_NOISE) * draws.noise
