"""The noise that speech is made from: the same in every call, at every time the same.

Noise belongs to a frame's place in its reply, so that frames which are made again, as the prompt of
the next block, come from the same noise. PyTorch's global generator is never touched.
"""

import math
from typing import Final, Protocol

import torch
from torch import Tensor

from actor_server.speech.geometry import HARMONICS, MEL_BINS
from actor_server.speech.harmonic_source import Draws
from actor_server.speech.mel_clock import HOP_SAMPLES

MEL_PERIOD_FRAMES: Final = 4096
SOURCE_PERIOD_FRAMES: Final = 512
"""After 48 and 6 s the tables begin again; no block sees a frame of them twice."""


class Chance(Protocol):
    """Where the random numbers of a reply come from."""

    def mel(self, first_frame: int, frames: int) -> Tensor:
        """Noise that flow matching starts from, (1, M, frames)."""

    def draws(self, first_frame: int, frames: int) -> Draws:
        """What the excitation of these mel frames needs."""


class FixedChance:
    """Tables made once from a seed; shared by all replies."""

    def __init__(self, seed: int = 0, device: torch.device | str = "cpu") -> None:
        dice = torch.Generator().manual_seed(seed)
        self._mel = torch.randn(1, MEL_BINS, MEL_PERIOD_FRAMES, generator=dice).to(device)
        phases = (2 * torch.rand(1, HARMONICS, 1, generator=dice) - 1) * math.pi
        phases[:, 0] = 0
        self._phases = phases.to(device)
        samples = SOURCE_PERIOD_FRAMES * HOP_SAMPLES
        self._noise = torch.randn(1, HARMONICS, samples, generator=dice).to(device)

    def mel(self, first_frame: int, frames: int) -> Tensor:
        """Noise that flow matching starts from, (1, M, frames)."""
        return _turning(self._mel, first_frame, frames)

    def draws(self, first_frame: int, frames: int) -> Draws:
        """What the excitation of these mel frames needs."""
        noise = _turning(self._noise, first_frame * HOP_SAMPLES, frames * HOP_SAMPLES)
        return Draws(self._phases, noise)


def _turning(table: Tensor, first: int, count: int) -> Tensor:
    """`count` columns of a table that has no end."""
    columns = torch.arange(first, first + count, device=table.device) % table.shape[2]
    return table[:, :, columns]
