"""What is measured: the full size on a GPU, or a tiny one that a CPU runs in seconds."""

from dataclasses import dataclass, replace
from typing import Any, Final

from actor_server.codec.ltx.benchmark import RELEASED
from actor_server.codec.ltx.tiny import TINY as TINY_AUTOENCODER
from actor_server.model.geometry import PAPER_9B, ActorGeometry
from proto.time_law import FRAME_HEIGHT

WINDOWS: Final = (1, 2, 5, 6, 25)
STEPS: Final = (4, 8, 25)
SERVED: Final = (25, 5)
"""N, W of the paper's weights: as many passes as it takes, few chunks in flight."""
DISTILLED: Final = (4, 1)
"""N, W of weights distilled for conversation."""


@dataclass(frozen=True)
class Size:
    """Geometries, and how long to measure: matrices of `matmul_side`, `repeats` of each pass.

    chunks: of each stream. sessions: the most that are tried in one pass.
    """

    name: str
    actor: ActorGeometry
    autoencoder: dict[str, Any]
    picture_side: int
    matmul_side: int
    copy_bytes: int
    repeats: int
    chunks: int
    sessions: int

    @property
    def streams(self) -> list[tuple[int, int]]:
        """(N, W): more than N chunks are never in flight."""
        return [(steps, window) for steps in STEPS for window in WINDOWS if window <= steps]


FULL: Final = Size(
    name="full",
    actor=PAPER_9B,
    autoencoder=RELEASED,
    picture_side=FRAME_HEIGHT,
    matmul_side=8192,
    copy_bytes=1 << 31,
    repeats=20,
    chunks=4,
    sessions=32,
)
TINY: Final = Size(
    name="tiny",
    actor=replace(
        PAPER_9B,
        layers=2,
        width=32,
        heads=4,
        kv_heads=2,
        head_dim=16,
        ffn_width=48,
        grid=(1, 2, 2),
        rotary_pairs=(1, 1, 2),
        sight=replace(PAPER_9B.sight, state_width=32),
        context_chunks=3,
    ),
    autoencoder=TINY_AUTOENCODER,
    picture_side=64,
    matmul_side=128,
    copy_bytes=1 << 20,
    repeats=3,
    chunks=1,
    sessions=2,
)
SIZES: Final = {size.name: size for size in (FULL, TINY)}
