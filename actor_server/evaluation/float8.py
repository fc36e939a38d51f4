"""What float8 weights change: an Actor's velocities beside those of its full weights.

    python -m actor_server.evaluation.float8 --weights PATH [--device cuda] [--dtype bfloat16]

Noise goes in: latents of a sequence at random levels under random conditions. Prints the relative
error |difference| / |exact| of all numbers together; --dtype is what is taken for exact.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from actor_server.errors import WeightsUnusable
from actor_server.model.conditioner import CUE_SCALES, Conditions
from actor_server.model.geometry import ActorGeometry
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.conditioning import (
    CUE_NUMBERS,
    FEATURE_DIM,
    HEARD_SLOTS,
    KINDS,
    PHONE_BINS,
    PHONES,
    TEXT_SLOTS,
)
from actor_server.weights import load_actor
from proto.time_law import CHUNK_FRAMES

CHUNKS: Final = 8
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Float8Error:
    """Relative errors, and the bytes of both models' tensors.

    hidden: after the last norm. velocity: None where all velocities are zero, as before training.
    """

    hidden: float
    velocity: float | None
    full_bytes: int
    float8_bytes: int


def float8_error(
    weights: Path, *, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> Float8Error:
    """Load the weights twice, one after the other, and compare. Raises WeightsUnusable."""
    return compared(
        load_actor(weights, dtype=dtype, device=device, float8=float8)[0]
        for float8 in (False, True)
    )


@torch.inference_mode()
def compared(models: Iterable[VideoTransformer]) -> Float8Error:
    """Of a full model and of the same in float8, which need not exist at the same time."""
    made: list[tuple[Tensor, Tensor]] = []
    size: list[int] = []
    for model in models:
        made.append(_computed(model))
        size.append(sum(tensor.nbytes for tensor in model.state_dict().values()))
        del model
    (hidden, velocity), (other_hidden, other_velocity) = made
    moves = bool(velocity.any())
    return Float8Error(
        relative_error(other_hidden, hidden),
        relative_error(other_velocity, velocity) if moves else None,
        *size,
    )


def relative_error(found: Tensor, exact: Tensor) -> float:
    """|found - exact| / |exact|."""
    return float((found - exact).norm() / exact.norm())


def noise_conditions(geometry: ActorGeometry, chunks: int, dice: torch.Generator) -> Conditions:
    """One row of chunks that see everything, and everything is noise."""
    sight = geometry.sight

    def normal(*shape: int) -> Tensor:
        return torch.randn(1, chunks, *shape, generator=dice)

    def seen(slots: int) -> Tensor:
        return torch.ones(1, chunks, slots, dtype=torch.bool)

    return Conditions(
        audio=normal(sight.slots, geometry.audio_width),
        audio_seen=seen(sight.slots),
        phones=torch.randint(PHONES, (1, chunks, sight.slots, PHONE_BINS), generator=dice),
        heard=normal(HEARD_SLOTS, FEATURE_DIM),
        heard_seen=seen(HEARD_SLOTS),
        text=normal(TEXT_SLOTS, sight.state_width),
        text_seen=seen(TEXT_SLOTS),
        text_at=normal(TEXT_SLOTS),
        kind=torch.randint(len(KINDS), (1, chunks), generator=dice),
        cues=normal(CHUNK_FRAMES, CUE_NUMBERS) / torch.tensor(CUE_SCALES),
        dropped=torch.zeros(1, chunks, dtype=torch.bool),
    )


def _computed(model: VideoTransformer) -> tuple[Tensor, Tensor]:
    """Last hidden states and velocities, the same input each time."""
    geometry, dice = model.geometry, torch.Generator().manual_seed(0)
    hidden: list[Tensor] = []
    hook = model.norm.register_forward_hook(lambda _module, _given, made: hidden.append(made))
    given = (
        torch.randn(1, geometry.reference_tokens, geometry.latent_dim, generator=dice),
        torch.randn(1, CHUNKS, geometry.tokens, geometry.latent_dim, generator=dice),
        torch.rand(1, CHUNKS, generator=dice),
    )
    conditions = noise_conditions(geometry, CHUNKS, dice).to(model.device)
    velocity = model(*(tensor.to(model.device) for tensor in given), conditions)
    hook.remove()
    return hidden[0].float().cpu(), velocity.float().cpu()


def main() -> int:
    """Exit code 0 with the figures, 2 when the weights are at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, required=True, help="file or directory of shards")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    try:
        found = float8_error(options.weights, dtype=DTYPES[options.dtype], device=options.device)
    except WeightsUnusable as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{found.full_bytes / 1e6:.1f} MB become {found.float8_bytes / 1e6:.1f} MB")
    print(f"last hidden states: relative error {found.hidden:.2%}")
    if found.velocity is None:
        print("velocities: all zero, as before training")
    else:
        print(f"velocities: relative error {found.velocity:.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
