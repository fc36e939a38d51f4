"""Keys and values of the clean chunks that a stream's next pass sees, for all sessions.

Keys are kept un-rotated and turned by their distance from the present whenever a chunk is added,
so that time never runs out and ten hours are as exact as ten seconds. Addresses never move.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from actor_server.model.layers import KeyValues
from actor_server.model.rotary import Rotation, rotate
from actor_server.model.video_transformer import VideoTransformer

SPARE_CHUNKS = 16
"""Chunks that can be taken back without copying: what is overwritten is older than the context."""


class ContextLost(ValueError):
    """`truncate` asked for a context whose oldest chunks are overwritten."""


class RingCache:
    """One ring of `context_chunks + SPARE_CHUNKS` chunks a row, and the pinned reference.

    Letters: L layers, B rows, G key-value heads, S ring slots, T, R, E as in the model.
    `window` is the number of chunks that a pass computes besides the pending one.
    """

    def __init__(self, model: VideoTransformer, rows: int, window: int) -> None:
        geometry = model.geometry
        self._tokens, self._context = geometry.tokens, geometry.context_chunks
        self._reference = geometry.reference_tokens
        self._slots = self._context + SPARE_CHUNKS
        self._model = model
        heads, width = geometry.kv_heads, geometry.head_dim
        self._past = 2 * self._reference + self._context * self._tokens
        looked_at = self._past + (window + 1) * self._tokens

        def buffer(*shape: int) -> KeyValues:
            lead = (geometry.layers, rows, heads)
            keys, values = (
                torch.zeros(*lead, *shape, width, dtype=model.dtype, device=model.device)
                for _ in range(2)
            )
            return KeyValues(keys, values)

        self.ring = buffer(self._slots, self._tokens)  # (L, B, G, S, T, E), un-rotated
        self.pinned = buffer(self._reference)  # (L, B, G, R, E), un-rotated
        self.view = buffer(looked_at)  # (L, B, G, 2R + context T + own, E), rotated
        self._length = [0] * rows
        self._written = [0] * rows
        self._rotation = model.chunk_rotation(torch.arange(-self._context, 0))
        self._places = [self._place(length) for length in range(self._context + 1)]

    def open(self, row: int, reference: Sequence[KeyValues]) -> None:
        """Begin a stream: `reference` is each layer's (1, G, R, E)."""
        for kept, new in zip(self.pinned, _over_layers(reference), strict=True):
            kept[:, row] = new[:, 0]
        self.view.values[:, row, :, : 2 * self._reference] = self.pinned.values[:, row].repeat(
            1, 1, 2, 1
        )
        self._length[row] = self._written[row] = 0
        self._look(row)

    def length(self, row: int) -> int:
        """How many chunks were committed."""
        return self._length[row]

    def commit(self, row: int, own: KeyValues) -> None:
        """Add a clean chunk: its own un-rotated (L, G, T, E)."""
        slot = self._length[row] % self._slots
        for ring, new in zip(self.ring, own, strict=True):
            ring[:, row, :, slot] = new
        self._length[row] += 1
        self._written[row] = max(self._written[row], self._length[row])
        self._look(row)

    def truncate(self, row: int, length: int) -> None:
        """Forget all but the first `length` chunks. Raises ContextLost."""
        oldest = max(0, length - self._context)
        if not 0 <= length <= self._length[row] or self._written[row] > oldest + self._slots:
            raise ContextLost(
                f"{length} chunks cannot be kept of {self._length[row]}: the ring's "
                f"{self._slots} slots hold the last of {self._written[row]}"
            )
        self._length[row] = length
        self._look(row)

    def extend_rows(self, rows: Sequence[int]) -> Callable[[int, Tensor, Tensor], KeyValues]:
        """What a `SelfView` of these rows is made of: own keys are put behind their past.

        Rows that lie together are looked at in place, others are copied.
        """
        keys, values = (kept[:, index_of(rows)] for kept in self.view)

        def extend(layer: int, own_keys: Tensor, own_values: Tensor) -> KeyValues:
            end = self._past + own_keys.shape[-2]
            keys[layer, :, :, self._past : end] = own_keys
            values[layer, :, :, self._past : end] = own_values
            return KeyValues(keys[layer, :, :, :end], values[layer, :, :, :end])

        return extend

    def _look(self, row: int) -> None:
        """Lay out what the next passes see: the context in order, turned by its distance."""
        length, first = self._length[row], 2 * self._reference
        ordered = torch.arange(length - self._context, length) % self._slots
        ordered = ordered.to(self.ring.keys.device, non_blocking=True)
        seen = slice(first, self._past)
        keys, values = (kept[:, row][:, :, ordered].flatten(2, 3) for kept in self.ring)
        self.view.keys[:, row, :, seen] = rotate(keys, self._rotation)
        self.view.values[:, row, :, seen] = values
        copies = self.pinned.keys[:, row].repeat(1, 1, 2, 1)
        self.view.keys[:, row, :, :first] = rotate(copies, self._places[min(length, self._context)])

    def _place(self, length: int) -> Rotation:
        """Of the two copies of the reference; 0 is where the next chunk to be committed stands.

        The first is right before the oldest chunk that this one sees, the second right before the
        oldest that the chunks behind it see.
        """
        second = -min(length + 1, self._context)
        return self._model.reference_rotation(torch.tensor([-(length + 1), second]))


def index_of(rows: Sequence[int]) -> slice | list[int]:
    """What picks these rows out of a tensor's dimension: without a copy where they lie together."""
    together = list(rows) == list(range(rows[0], rows[0] + len(rows)))
    return slice(rows[0], rows[0] + len(rows)) if together else list(rows)


def _over_layers(layers: Sequence[KeyValues]) -> KeyValues:
    keys, values = zip(*layers, strict=True)
    return KeyValues(torch.stack(keys), torch.stack(values))
