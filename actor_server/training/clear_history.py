"""Every chunk of a sequence noisy at its own level, each behind the clean chunks before it.

That is what the sampler computes with one chunk in flight, here for all chunks at once: the clean
sequence is computed first, then every noisy chunk looks at its keys and values, and at itself.
"""

import torch
from torch import Tensor

from actor_server.model.conditioner import Conditions
from actor_server.model.layers import KeyValues, SelfView, additive
from actor_server.model.mask import oldest_seen, video_mask
from actor_server.model.rotary import rotate
from actor_server.model.video_transformer import VideoTransformer


class ClearHistory:
    """The clean context of K chunks and their conditions, ready to be looked at.

    The context's keys and values carry no gradient: they are as they will be in a call.
    """

    def __init__(
        self, model: VideoTransformer, reference: Tensor, clean: Tensor, conditions: Conditions
    ) -> None:
        """From reference (B, R, D), clean latents (B, K, T, D), normalised, conditions (B, K).

        Raises ValueError for more chunks than fit the context: all see the reference alike.
        """
        chunks, geometry = clean.shape[1], model.geometry
        if chunks > geometry.context_chunks + 1:
            raise ValueError(
                f"{chunks} chunks: at most {geometry.context_chunks + 1} share one context"
            )
        self._model = model
        self._rotation = model.chunk_rotation(torch.arange(chunks))
        slots = model.condition_slots(conditions)
        self._moments = slots.moments
        self._cross = model.cross_view(slots.layers, slots.seen, model.time_rotation())
        own = torch.arange(chunks).repeat_interleave(geometry.tokens)
        self._block = own == own[:, None]
        seen = video_mask(oldest_seen(chunks, geometry), geometry)
        self._before = seen.clone()
        self._before[:, geometry.reference_tokens :] &= ~self._block
        with torch.no_grad():
            self._context = self._clean_context(reference, clean, seen)

    def velocity(self, noisy: Tensor, levels: Tensor) -> Tensor:
        """Velocities (B, K, T, D) of noisy chunks (B, K, T, D) at `levels` (B, K)."""
        mask = torch.cat([self._before, self._block], dim=1)
        view = self._view(mask, self._context)
        return self._model.velocities(noisy, self._told(levels), view, self._cross)[0]

    def velocity_at(self, noisy: Tensor, level: Tensor) -> Tensor:
        """`velocity` in float32 at a level that broadcasts against `noisy`."""
        levels = level.expand(*noisy.shape[:2], 1, 1)[..., 0, 0]
        return self.velocity(noisy, levels).float()

    def _clean_context(self, reference: Tensor, clean: Tensor, seen: Tensor) -> list[KeyValues]:
        """Each layer's rotated keys, and values, of the reference and the clean chunks."""
        model = self._model
        place = model.reference_rotation(torch.tensor([-1]))
        pinned = [
            KeyValues(rotate(kv.keys, place), kv.values) for kv in model.encode_reference(reference)
        ]
        told = self._told(clean.new_zeros(clean.shape[:2]))
        _, own = model.velocities(clean, told, self._view(seen, pinned), self._cross)
        turned = [KeyValues(rotate(kv.keys, self._rotation), kv.values) for kv in own]
        return [_joined(*pair) for pair in zip(pinned, turned, strict=True)]

    def _told(self, levels: Tensor) -> Tensor:
        return self._model.embed_levels(levels).unsqueeze(-2) + self._moments

    def _view(self, mask: Tensor, context: list[KeyValues]) -> SelfView:
        def extend(layer: int, keys: Tensor, values: Tensor) -> KeyValues:
            return _joined(context[layer], KeyValues(keys, values))

        device, dtype = self._model.device, self._model.dtype
        return SelfView(self._rotation, additive(mask.to(device), dtype), extend)


def _joined(first: KeyValues, second: KeyValues) -> KeyValues:
    return KeyValues(
        torch.cat([first.keys, second.keys], dim=2), torch.cat([first.values, second.values], dim=2)
    )
