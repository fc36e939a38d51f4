"""What is asked of a way to decode a live stream, one latent frame (a chunk) at a time."""

from typing import Final, Protocol

from torch import Tensor

HISTORY_CHUNKS: Final = 16
"""How far `rollback` reaches, as far as the Actor's own memory can be rolled back at no cost."""


class PictureForgotten(ValueError):
    """`rollback` named a chunk that was never decoded, or one too old to be remembered."""


class ChunkDecoder(Protocol):
    """One call's decoder, begun at its reference; chunks count from 0. Synchronous."""

    @property
    def latency_chunks(self) -> int:
        """How many chunks must follow one before it can be drawn."""

    def push(self, latent: Tensor) -> Tensor | None:
        """Add the next chunk (1, D, 1, h, w); the frames (1, 3, 8, H, W) of the next to be drawn.

        None while the chunks that must follow it are not there.
        """

    def rollback(self, chunk: int) -> None:
        """Forget everything after `chunk`, or all with -1. Raises PictureForgotten.

        The next latent is that of chunk + 1; so are the next frames, unless an earlier chunk was
        not drawn yet.
        """
