"""Audio tokens to mel frames by conditional flow matching, continuing a mel that is known.

Source: Matcha-TTS (arXiv 2309.03199); guidance and time steps as in CosyVoice (arXiv 2407.05407).
"""

import math
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from actor_server.speech.estimator import Estimator
from actor_server.speech.geometry import MEL_BINS, SPEAKER_WIDTH, FlowGeometry
from actor_server.speech.token_encoder import LengthRegulator, TokenEncoder

EULER_STEPS: Final = 10
GUIDANCE: Final = 0.7


class FlowDecoder(nn.Module):
    """Tokens to mel. Module names are those of the released `flow.pt`."""

    def __init__(self, geometry: FlowGeometry) -> None:
        super().__init__()
        self.input_embedding = nn.Embedding(geometry.codes, geometry.width)
        self.spk_embed_affine_layer = nn.Linear(SPEAKER_WIDTH, MEL_BINS)
        self.encoder = TokenEncoder(geometry)
        self.encoder_proj = nn.Linear(geometry.width, MEL_BINS)
        self.length_regulator = LengthRegulator()
        self.decoder = nn.ModuleDict({"estimator": Estimator(geometry)})

    @property
    def codes(self) -> int:
        """Rows of the codebook that tokens count in."""
        return self.input_embedding.num_embeddings

    def forward(
        self, tokens: Tensor, known: Tensor, noise: Tensor, speaker: Tensor | None = None
    ) -> Tensor:
        """The frames that follow the known ones.

        Shapes: tokens (1, N) of the known and the new frames; known (1, M, K), K may be 0; noise
        (1, M, F) of all frames, F > K; speaker (1, 192), None: the released voice. Out:
        (1, M, F - K).
        """
        mean = self.mean_mel(tokens, noise.shape[2])
        known_length = known.shape[2]
        condition = functional.pad(known, (0, noise.shape[2] - known_length))
        mel = self._integrate(noise, mean, self.voice(speaker), condition)
        return mel[:, :, known_length:]

    def mean_mel(self, tokens: Tensor, frames: int) -> Tensor:
        """mu: tokens (1, N) to (1, M, F)."""
        encoded = self.encoder(self.input_embedding(tokens))
        return self.length_regulator(self.encoder_proj(encoded), frames)  # type: ignore[no-any-return]

    def voice(self, speaker: Tensor | None) -> Tensor:
        """The speaker's vector (1, 192) as the estimator takes it, (1, M); None: nobody's."""
        if speaker is None:
            return self.spk_embed_affine_layer.bias[None]
        return self.spk_embed_affine_layer(functional.normalize(speaker))  # type: ignore[no-any-return]

    def _integrate(self, x: Tensor, mean: Tensor, voice: Tensor, condition: Tensor) -> Tensor:
        """Euler's method; the guided velocity of both branches in one batch of two."""
        fixed = torch.cat([mean, voice[:, :, None].expand_as(mean), condition], dim=1)
        fixed = torch.cat([fixed, torch.zeros_like(fixed)])
        for time, step in euler_steps():
            inputs = torch.cat([x.expand(2, -1, -1), fixed], dim=1)
            times = torch.full((2,), time, device=x.device)
            with_condition, without = self.decoder["estimator"](inputs, times).chunk(2)
            x = x + step * ((1 + GUIDANCE) * with_condition - GUIDANCE * without)
        return x


def euler_steps(count: int = EULER_STEPS) -> list[tuple[float, float]]:
    """(time, step) of each evaluation; the steps grow along a cosine. In single precision."""
    span = 1 - torch.cos(torch.linspace(0, 1, count + 1) * 0.5 * math.pi)
    time, steps = span[0], []
    for _, end in pairwise(span):
        step = end - time
        steps.append((float(time), float(step)))
        time = time + step
    return steps
