"""The causal Whisper encoder with a codebook, one block of 4 s at a time.

Attention is bidirectional inside a block and causal across blocks. So a closed block never changes,
and all that later blocks need of it are its keys, its values and the last frames of its features.

Shapes: B batch, T mel frames of 10 ms, L positions of 20 ms (2 frames), K tokens of 80 ms
(4 positions), D width, H heads, E head width.
Source: GLM-4-Voice (arXiv 2412.02612) section 3.1; parameters have the hub's names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from thinker_server.glm4voice.speech.geometry import (
    FRAMES_PER_POSITION,
    POSITIONS_PER_TOKEN,
    SpeechGeometry,
)
from thinker_server.glm4voice.speech.log_mel import MEL_BINS

TAIL_FRAMES = 4
"""Frames before a block that its first position sees through both convolutions."""
_KERNEL = 3


@dataclass(frozen=True)
class BlockMemory:
    """What an encoded block leaves for the blocks after it."""

    keys: tuple[torch.Tensor, ...]  # one (B, H, L, E) for each layer
    values: tuple[torch.Tensor, ...]
    valid: torch.Tensor  # (B, L) bool
    tail: torch.Tensor  # (B, 128, TAIL_FRAMES)


Past = Sequence[BlockMemory]
"""The closed blocks of a segment, in order."""


class SpeechEncoder(nn.Module):
    """Features to pooled states and codes. The state is passed in and out, never kept."""

    def __init__(self, geometry: SpeechGeometry) -> None:
        super().__init__()
        self.geometry = geometry
        width = geometry.width
        self.conv1 = nn.Conv1d(MEL_BINS, width, _KERNEL)
        self.conv2 = nn.Conv1d(width, width, _KERNEL, stride=FRAMES_PER_POSITION)
        self.embed_positions = nn.Embedding(geometry.segment_positions, width)
        self.layers = nn.ModuleList(_Layer(geometry) for _ in range(geometry.layers))
        self.codebook = nn.Embedding(geometry.codes, width)

    def forward(self, mel: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Pooled states (B, K, D) of whole segments: mel (B, 128, T), valid (B, L) bool."""
        pooled, past = [], list[BlockMemory]()
        blocks = zip(
            torch.split(mel, self.geometry.block_frames, dim=2),
            torch.split(valid, self.geometry.block_positions, dim=1),
            strict=True,
        )
        for block_mel, block_valid in blocks:
            states, memory = self.block(block_mel, block_valid, past)
            pooled.append(states)
            past.append(memory)
        return torch.cat(pooled, dim=1)

    def block(
        self, mel: torch.Tensor, valid: torch.Tensor, past: Past
    ) -> tuple[torch.Tensor, BlockMemory]:
        """Pooled states (B, K, D) of the block after `past`, and what it leaves behind.

        Shapes: mel (B, 128, T) with T = 2 L and L a multiple of 4; valid (B, L) bool. States at
        invalid positions are pooled as they are: they see the valid keys like any other.
        """
        states = self._embed(mel, past)  # (B, L, D)
        all_valid = torch.cat([*(memory.valid for memory in past), valid], dim=1)
        least = torch.finfo(states.dtype).min
        mask = torch.where(all_valid, 0.0, least)[:, None, None, :].to(states.dtype)
        keys, values = list[torch.Tensor](), list[torch.Tensor]()
        for index, layer in enumerate(self.layers):
            earlier = [(memory.keys[index], memory.values[index]) for memory in past]
            states, key, value = layer(states, mask, earlier)
            keys.append(key)
            values.append(value)
        batch, length, width = states.shape
        pooled = states.view(batch, length // POSITIONS_PER_TOKEN, POSITIONS_PER_TOKEN, width).mean(
            2
        )
        tail = mel[:, :, -TAIL_FRAMES:]
        return pooled, BlockMemory(tuple(keys), tuple(values), valid, tail)

    def nearest_codes(self, pooled: torch.Tensor) -> torch.Tensor:
        """The code (...) nearest to each pooled state (..., D)."""
        codes = self.codebook.weight
        # |x|^2 is the same for all codes of a state and changes no order.
        distances = codes.square().sum(1) - 2 * pooled @ codes.T
        return distances.argmin(-1)

    def _embed(self, mel: torch.Tensor, past: Past) -> torch.Tensor:
        """Convolutions, causal by zeros before the segment or by the frames before the block."""
        start = sum(memory.valid.shape[1] for memory in past)
        if past:
            mel = torch.cat([past[-1].tail, mel], dim=2)
        states = nn.functional.gelu(self.conv1(nn.functional.pad(mel, (_KERNEL - 1, 0))))
        states = nn.functional.gelu(
            self.conv2(nn.functional.pad(states, (_KERNEL - 1, 0)))
        ).transpose(1, 2)
        if past:  # these saw the zeros in front of the tail
            states = states[:, TAIL_FRAMES // FRAMES_PER_POSITION :]
        positions = self.embed_positions.weight[start : start + states.shape[1]]
        return states + positions


class _Attention(nn.Module):
    def __init__(self, geometry: SpeechGeometry) -> None:
        super().__init__()
        self._heads = geometry.heads
        self.k_proj = nn.Linear(geometry.width, geometry.width, bias=False)
        self.v_proj = nn.Linear(geometry.width, geometry.width)
        self.q_proj = nn.Linear(geometry.width, geometry.width)
        self.out_proj = nn.Linear(geometry.width, geometry.width)

    def forward(
        self,
        states: torch.Tensor,
        mask: torch.Tensor,
        earlier: Sequence[tuple[torch.Tensor, torch.Tensor]],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        query, key, value = (
            project(states).unflatten(2, (self._heads, -1)).transpose(1, 2)  # (B, H, L, E)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        keys = torch.cat([*(k for k, _ in earlier), key], dim=2)
        values = torch.cat([*(v for _, v in earlier), value], dim=2)
        seen = nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        return self.out_proj(seen.transpose(1, 2).flatten(2)), key, value


class _Layer(nn.Module):
    def __init__(self, geometry: SpeechGeometry) -> None:
        super().__init__()
        self.self_attn = _Attention(geometry)
        self.self_attn_layer_norm = nn.LayerNorm(geometry.width)
        self.fc1 = nn.Linear(geometry.width, geometry.ffn_width)
        self.fc2 = nn.Linear(geometry.ffn_width, geometry.width)
        self.final_layer_norm = nn.LayerNorm(geometry.width)

    def forward(
        self,
        states: torch.Tensor,
        mask: torch.Tensor,
        earlier: Sequence[tuple[torch.Tensor, torch.Tensor]],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """States (B, L, D) in and out, and the block's keys and values (B, H, L, E)."""
        attended, key, value = self.self_attn(self.self_attn_layer_norm(states), mask, earlier)
        states = states + attended
        states = states + self.fc2(nn.functional.gelu(self.fc1(self.final_layer_norm(states))))
        return states, key, value
