"""Keys and values of all sessions at addresses that never move.

A session owns one slot for as long as it lives. Cutting its context is forgetting a number: what
lies behind is overwritten before it can be seen. Shapes: S slots, G key heads, T tokens, E width
of a head, B rows of a batch, L tokens read at once.
"""

from typing import Any

import torch
from transformers import Cache, GlmConfig


class SlotCache(Cache):
    """A transformers cache that is told before each pass which rows are which slots.

    The column after the last token is a scratch: rows without a session write there.
    """

    def __init__(
        self, config: GlmConfig, slots: int, tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(layers=[])
        heads, width = config.num_key_value_heads, config.head_dim
        if heads is None or width is None:
            raise ValueError("the model's configuration lacks num_key_value_heads or head_dim")
        shape = (slots, heads, tokens + 1, width)
        self.scratch = tokens
        self.keys, self.values = (
            [
                torch.zeros(shape, dtype=dtype, device=device)
                for _ in range(config.num_hidden_layers)
            ]
            for _ in range(2)
        )
        self._rows = slice(0, 0)
        self._places: tuple[Any, ...] = ()
        self._visible = 0

    def read_into(self, slot: int, start: int, count: int) -> None:
        """The next pass reads `count` tokens of one slot, from position `start` on."""
        self._rows = slice(slot, slot + 1)
        self._places = (self._rows, slice(None), slice(start, start + count))
        self._visible = start + count

    def step_rows(self, positions: torch.Tensor, visible: int) -> None:
        """The next pass reads one token of each of the first B slots, at `positions` (B,)."""
        rows = torch.arange(len(positions), device=positions.device)
        self._rows = slice(0, len(positions))
        self._places = (rows[:, None], slice(None), positions[:, None])
        self._visible = visible

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (B, G, L, E) of a layer; all its visible keys and values (B, G, T, E), uncopied."""
        kept = []
        for store, new in (
            (self.keys[layer_idx], key_states),
            (self.values[layer_idx], value_states),
        ):
            # Two index tensors around a slice put their dimensions first: (B, L, G, E).
            one_each = isinstance(self._places[2], torch.Tensor)
            store[self._places] = new.transpose(1, 2) if one_each else new
            kept.append(store[self._rows, :, : self._visible])
        return kept[0], kept[1]
