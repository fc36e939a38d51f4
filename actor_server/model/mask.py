"""Who sees whom: the sliding block-causal mask, of a whole sequence and of one streaming pass.

A chunk sees the 31 chunks before it; chunks in flight together all see the 31 before the first of
them, and each other up to themselves. The reference stands right before the oldest chunk that a
query sees, so its distance never exceeds what training has seen.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from actor_server.model.geometry import ActorGeometry


@dataclass(frozen=True)
class SightRules:
    """Ablations of the paper's table: the pinned reference, attention inside a chunk."""

    token_causal: bool = False
    use_reference: bool = True


FULL_SIGHT = SightRules()


def oldest_seen(chunks: int, geometry: ActorGeometry, window_start: int | None = None) -> Tensor:
    """(K,) the oldest chunk that each chunk sees; from `window_start` on they are in flight."""
    chunk = torch.arange(chunks)
    if window_start is not None:
        chunk = chunk.clamp(max=window_start)
    return (chunk - geometry.context_chunks).clamp(min=0)


def video_mask(oldest: Tensor, geometry: ActorGeometry, rules: SightRules = FULL_SIGHT) -> Tensor:
    """What each token sees, bool (K * T, copies * R + K * T), for `oldest` of `oldest_seen`.

    The keys begin with copies of the reference's: copy i is seen by the chunks whose oldest is i,
    and stands at i - 1.
    """
    chunk = torch.arange(len(oldest))
    copies = torch.arange(int(oldest.max()) + 1)
    pinned = (copies == oldest[:, None]) & rules.use_reference  # (K, copies)
    video = (chunk <= chunk[:, None]) & (chunk >= oldest[:, None])
    return _over_tokens(pinned, video, geometry, rules)


@dataclass(frozen=True)
class PassRow:
    """One row of a streaming pass: what its slots hold.

    committed: chunks in its cache; pending: whether slot 0 holds a clean chunk to be committed;
    window: chunks in flight, in the slots after `lead`; lead: 1 if any row has a pending chunk;
    slots: of the whole pass, padding included.
    """

    committed: int
    pending: bool
    window: int
    lead: int
    slots: int


def pass_mask(row: PassRow, geometry: ActorGeometry, rules: SightRules = FULL_SIGHT) -> Tensor:
    """What each token of a pass sees, bool (slots * T, 2 R + context * T + slots * T).

    The keys are two copies of the reference, the context oldest first, and the pass's own. The
    pending chunk looks at the first copy, the window behind it at the second, because its oldest
    chunk may be the next one; without a pending chunk the window takes the first.
    """
    context = geometry.context_chunks
    pinned = torch.zeros(row.slots, 2, dtype=torch.bool)
    clean = torch.zeros(row.slots, context, dtype=torch.bool)
    own = torch.eye(row.slots, dtype=torch.bool)  # padding sees itself: no row may see nothing
    window = slice(row.lead, row.lead + row.window)
    if row.pending:
        pinned[0, 0] = True
        clean[0, context - min(row.committed, context) :] = True
        own[window, 0] = True
    pinned[window, int(row.pending)] = True
    behind = min(row.committed + row.pending, context) - row.pending
    clean[window, context - behind :] = True
    own[window, window] = torch.ones(row.window, row.window, dtype=torch.bool).tril()
    return _over_tokens(
        pinned & rules.use_reference, torch.cat([clean, own], dim=1), geometry, rules
    )


def _over_tokens(
    pinned: Tensor, video: Tensor, geometry: ActorGeometry, rules: SightRules
) -> Tensor:
    """From chunks to tokens; the last chunks of `video` are those that look."""
    tokens = geometry.tokens
    pinned = pinned.repeat_interleave(tokens, 0)
    pinned = pinned.repeat_interleave(geometry.reference_tokens, 1)
    video = video.repeat_interleave(tokens, 0).repeat_interleave(tokens, 1)
    if rules.token_causal:
        video = video.tril(video.shape[1] - video.shape[0])
    return torch.cat([pinned, video], dim=1)
