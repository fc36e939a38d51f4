"""Who sees whom when a whole sequence is computed at once: the sliding block-causal mask."""

import torch
from torch import Tensor

from actor_server.model.geometry import ActorGeometry


def reference_copies(chunks: int, geometry: ActorGeometry) -> Tensor:
    """Where the reference is seen from, in chunks, one entry for each place: (copies,).

    It stands right before the oldest chunk that a query sees: at -1 as long as nothing is
    forgotten, one chunk on for each chunk forgotten. Every place is a rotated copy of its keys.
    """
    return torch.arange(max(1, chunks - geometry.context_chunks)) - 1


def video_mask(
    chunks: int, geometry: ActorGeometry, *, token_causal: bool, use_reference: bool
) -> Tensor:
    """What each token sees, bool (K * T, copies * R + K * T).

    Chunk c sees the reference from its place max(0, c - 31) - 1, the 31 chunks before it and
    itself; with `token_causal` only the tokens of itself up to the one that looks.
    """
    tokens, context = geometry.tokens, geometry.context_chunks
    chunk = torch.arange(chunks)
    copies = len(reference_copies(chunks, geometry))
    copy = (chunk - context).clamp(min=0)
    pinned = (torch.arange(copies) == copy[:, None]) & use_reference  # (K, copies)
    distance = chunk[:, None] - chunk
    video = (distance >= 0) & (distance <= context)
    pinned = pinned.repeat_interleave(tokens, 0)
    pinned = pinned.repeat_interleave(geometry.reference_tokens, 1)
    video = video.repeat_interleave(tokens, 0).repeat_interleave(tokens, 1)
    if token_causal:
        video = video.tril()
    return torch.cat([pinned, video], dim=1)
