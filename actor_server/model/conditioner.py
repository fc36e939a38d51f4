"""What cross-attention reads: a chunk's speech, text, the caller's voice and the kind of moment."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from actor_server.model.geometry import ActorGeometry
from actor_server.model.layers import two_layers
from actor_server.motion.conditioning import (
    CUE_NUMBERS,
    FEATURE_DIM,
    HEARD_SLOTS,
    KINDS,
    PHONE_BINS,
    PHONES,
    TEXT_SLOTS,
    ConditionArrays,
)
from proto.time_law import CHUNK_AUDIO_TOKENS

DROPPED = len(KINDS)
"""Row of the learned null condition in the table of kinds."""

MOMENT_GAIN = 16.0
"""Moments are learned from zero on and added to embeddings that are large: without it they grow too
slowly to move anything."""
CUE_SCALES = (1.0, 8.0, 1.0, 1.0)
"""Factors of `motion.conditioning.CUES`: a voice's pitch varies by about an eighth of an octave,
the others lie between 0 and 1, and the optimiser's steps are alike for all."""


@dataclass(frozen=True)
class Conditions:
    """`ConditionArrays` of many chunks as tensors with leading (B, K).

    dropped (B, K) bool: the condition is replaced by a learned null (condition dropout).
    """

    audio: Tensor
    audio_seen: Tensor
    phones: Tensor
    heard: Tensor
    heard_seen: Tensor
    text: Tensor
    text_seen: Tensor
    text_at: Tensor
    kind: Tensor
    cues: Tensor
    dropped: Tensor

    @classmethod
    def from_numpy(
        cls,
        arrays: dict[str, NDArray[np.generic]],
        dropped: NDArray[np.bool_] | None = None,
    ) -> Self:
        """From arrays (B, K, ...) named as the fields of `ConditionArrays`."""
        names = [part.name for part in fields(ConditionArrays)]
        tensors = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in names}
        kind = tensors["kind"]
        null = torch.zeros(kind.shape, dtype=torch.bool)
        return cls(dropped=null if dropped is None else torch.from_numpy(dropped), **tensors)

    @classmethod
    def stack(cls, rows: Sequence[Sequence[ConditionArrays]]) -> Self:
        """From B rows of K chunks each."""
        names = [part.name for part in fields(ConditionArrays)]
        arrays = {
            name: np.stack([np.stack([getattr(one, name) for one in row]) for row in rows])
            for name in names
        }
        return cls.from_numpy(arrays)

    @property
    def chunks(self) -> int:
        """K."""
        return self.kind.shape[1]

    def __getitem__(self, chunks: slice | int) -> Self:
        """The same rows, some of the chunks; an int keeps K = 1."""
        if isinstance(chunks, int):
            chunks = slice(chunks, chunks + 1 or None)
        parts = {part.name: getattr(self, part.name)[:, chunks] for part in fields(self)}
        return replace(self, **parts)

    def of_row(self, row: int) -> Self:
        """All chunks of one row; B = 1."""
        parts = {part.name: getattr(self, part.name)[row : row + 1] for part in fields(self)}
        return replace(self, **parts)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Moved, and floating-point fields converted where `dtype` is given."""
        parts: dict[str, Tensor] = {}
        for part in fields(self):
            value: Tensor = getattr(self, part.name)
            wanted = dtype if dtype is not None and value.is_floating_point() else value.dtype
            parts[part.name] = value.to(device, wanted)
        return replace(self, **parts)


class Memory(NamedTuple):
    """states (B, K, M, width), seen (B, K, M) bool, times (B, K, M) in chunks from the chunk."""

    states: Tensor
    seen: Tensor
    times: Tensor


class Conditioner(nn.Module):
    """Embeds a condition's slots: audio V, heard 4, text 26, and the kind of moment, always seen.

    Slots get a learned embedding that begins at zero, because nano's rotary positions tell the
    slots of one chunk only coarsely apart.
    """

    fixed_times: Tensor
    cue_scales: Tensor

    def __init__(self, geometry: ActorGeometry) -> None:
        super().__init__()
        width, sight = geometry.condition_width, geometry.sight
        self.grid = geometry.grid
        self.phones: nn.Embedding | None = None
        self.audio: nn.Module = nn.Identity()
        self.text: nn.Module = nn.Identity()
        self.norm: nn.Module = nn.Identity()
        if geometry.project_conditions:
            spoken = geometry.audio_width + PHONE_BINS * geometry.phone_width
            self.audio = two_layers(spoken, width)
            self.text = nn.Linear(sight.state_width, width)
            self.norm = nn.RMSNorm(width, geometry.norm_eps)
        if geometry.phone_width:
            self.phones = nn.Embedding(PHONES, geometry.phone_width)
        self.heard = two_layers(FEATURE_DIM, width)
        self.kinds = nn.Embedding(len(KINDS) + 1, width)
        self.moment_in: nn.Sequential | None = None
        if geometry.cues:
            told = geometry.token_frames * (len(KINDS) + CUE_NUMBERS)
            self.moment_in = two_layers(told, geometry.width)
            self.register_buffer("cue_scales", torch.tensor(CUE_SCALES))
        self.slots = nn.Parameter(torch.zeros(sight.slots + HEARD_SLOTS + TEXT_SLOTS + 1, width))
        # real even where the model is built on the meta device: no weight file holds it
        slots, heard = (torch.arange(n, device="cpu") for n in (sight.slots, HEARD_SLOTS))
        audio_at = (slots - sight.history_tokens) / CHUNK_AUDIO_TOKENS
        heard_at = (heard - HEARD_SLOTS) / CHUNK_AUDIO_TOKENS
        times = torch.cat([audio_at, heard_at]).double()
        self.register_buffer("fixed_times", times, persistent=False)

    def forward(self, conditions: Conditions) -> Memory:
        """Slots in the order audio, heard, text, kind. What is not seen must be masked."""
        dtype = self.slots.dtype
        audio = conditions.audio.to(dtype)
        if self.phones is not None:
            phones = self.phones(conditions.phones.long()).flatten(-2)  # (B, K, V, 4 * phone)
            audio = torch.cat([audio, phones], dim=-1)
        kind = torch.where(conditions.dropped, DROPPED, conditions.kind.long())
        states = [
            self.audio(audio),
            self.heard(conditions.heard.to(dtype)),
            self.text(conditions.text.to(dtype)),
            self.kinds(kind).unsqueeze(-2),
        ]
        return Memory(
            self.norm(torch.cat(states, dim=-2) + self.slots),
            self._seen(conditions),
            self._times(conditions),
        )

    def moments(self, conditions: Conditions) -> Tensor:
        """What each token is told of its own frames, (B, K, T, C); one zero for all without cues.

        One after another: the kind of the moment, and the ear's cues. Cross-attention would have to
        find a nod's frame among the slots of two chunks; here a frame that ends a phrase says so.
        """
        if self.moment_in is None:
            return self.slots.new_zeros(1, 1, 1, 1).expand(*conditions.kind.shape, 1, 1)
        kinds = functional.one_hot(conditions.kind.long(), len(KINDS)).to(self.slots)
        kinds = kinds.unsqueeze(-2).expand(*conditions.cues.shape[:-1], -1)
        cues = conditions.cues.to(self.slots) * self.cue_scales
        told = torch.cat([kinds, cues], dim=-1)
        frames, height, width = self.grid
        moments: Tensor = self.moment_in(told.reshape(*told.shape[:2], frames, -1))
        moments = MOMENT_GAIN * moments * ~conditions.dropped[..., None, None]
        return moments.repeat_interleave(height * width, dim=-2)

    def _seen(self, conditions: Conditions) -> Tensor:
        parts = [conditions.audio_seen, conditions.heard_seen, conditions.text_seen]
        seen = torch.cat(parts, dim=-1) & ~conditions.dropped[..., None]
        return torch.cat([seen, torch.ones_like(seen[..., :1])], dim=-1)

    def _times(self, conditions: Conditions) -> Tensor:
        text_at = conditions.text_at.double()
        fixed = self.fixed_times.double().expand(*text_at.shape[:-1], -1)
        return torch.cat([fixed, text_at, torch.zeros_like(text_at[..., :1])], dim=-1)
