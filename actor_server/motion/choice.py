"""Which source moves the faces of this process."""

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actor_server.config import MotionKind
from actor_server.errors import WeightsUnusable
from actor_server.motion.fallback import FallbackMotion
from actor_server.motion.limits import within_limits
from actor_server.motion.mood import MoodMotion
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import CHUNK_LATENTS, Floats, MotionSource
from actor_server.motion.still import StillMotion
from actor_server.saving import Saving

if TYPE_CHECKING:
    from actor_server.compute import Compute
    from actor_server.motion.diffusion import DiffusionMotion
    from actor_server.sampler import Noise

log = logging.getLogger(__name__)

SHIPPED_WEIGHTS: Final = Path(str(files("actor_server.motion") / "data" / "nano_actor.safetensors"))


def choose_motion(kind: MotionKind, weights: Path | None, max_sessions: int) -> MotionSource:
    """The source that was asked for, in its moods, on a face that can stand still to save time.

    Raises: WeightsUnusable, where weights were asked for.
    """
    moving = MoodMotion(_moving(kind, weights, max_sessions))
    return FallbackMotion(moving, StillMotion, Saving.STILL)


def _moving(kind: MotionKind, weights: Path | None, max_sessions: int) -> MotionSource:
    """`auto` takes the rules where no weights were shipped."""
    if kind == "teacher":
        return ProceduralMotion()
    if kind == "auto" and weights is None and not SHIPPED_WEIGHTS.is_file():
        log.warning(
            "faces move by rules: no weights of the video transformer were shipped",
            extra={"missing": str(SHIPPED_WEIGHTS)},
        )
        return ProceduralMotion()
    try:
        return _diffusion(weights or SHIPPED_WEIGHTS, max_sessions)
    except WeightsUnusable as error:
        if kind == "diffusion" or weights is not None:
            raise
        log.error("faces move by rules: the shipped weights are bad", extra={"why": str(error)})
        return ProceduralMotion()


def _diffusion(weights: Path, max_sessions: int) -> MotionSource:
    from actor_server.motion.head_noise import steady_noise  # imports torch

    diffusion = diffusion_from(
        weights, CHUNK_LATENTS, max_sessions, limits=within_limits, noise=steady_noise
    )
    return FallbackMotion(diffusion, ProceduralMotion, Saving.TEACHER)


def diffusion_from(
    weights: Path,
    chunk_shape: tuple[int, int],
    max_sessions: int,
    compute: "Compute | None" = None,
    limits: Callable[[Floats], Floats] | None = None,
    noise: "Noise | None" = None,
) -> "DiffusionMotion":
    """The transformer of a weight file, warm; `compute`: None is one thread's single precision,
    `noise`: None is white.

    Raises: WeightsUnusable, also where it makes other chunks than `chunk_shape`, (T, D).
    """
    # torch takes a second and 0.4 GB (PSS, `xstreamer status`) that the rules do not need
    from actor_server.compute import Compute
    from actor_server.motion.diffusion import DiffusionMotion
    from actor_server.sampler import named_noise
    from actor_server.weights import load_actor

    compute = compute or Compute()
    model, sampler = load_actor(
        weights, dtype=compute.dtype, device=compute.device, float8=compute.float8
    )
    if (made := (model.geometry.tokens, model.geometry.latent_dim)) != chunk_shape:
        raise WeightsUnusable(f"{weights} makes chunks of {made}, the face takes {chunk_shape}")
    used = {"weights": str(weights), "sampler": str(sampler), "compute": str(compute)}
    log.info("faces move by diffusion", extra=used)
    diffusion = DiffusionMotion(
        model,
        sampler.steps,
        sampler.window,
        max_sessions,
        limits,
        noise=noise or named_noise,
        batched=compute.device.type == "cuda",
        graphs=compute.graphs,
    )
    diffusion.warm_up()
    return diffusion
