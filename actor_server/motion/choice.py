"""Which source moves the faces of this process."""

import logging
from importlib.resources import files
from pathlib import Path
from typing import Final

from actor_server.config import MotionKind
from actor_server.errors import WeightsUnusable
from actor_server.motion.fallback import FallbackMotion
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import MotionSource
from actor_server.motion.still import StillMotion
from actor_server.saving import Saving

log = logging.getLogger(__name__)


SHIPPED_WEIGHTS: Final = Path(str(files("actor_server.motion") / "data" / "nano_actor.safetensors"))


def choose_motion(kind: MotionKind, weights: Path | None, max_sessions: int) -> MotionSource:
    """The source that was asked for, on a face that can stand still where time is short.

    Raises: WeightsUnusable, where weights were asked for.
    """
    return FallbackMotion(_moving(kind, weights, max_sessions), StillMotion, Saving.STILL)


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
    # torch takes a second and 0.4 GB (PSS, `xstreamer status`) that the rules do not need
    from actor_server.motion.diffusion import DiffusionMotion
    from actor_server.weights import load_actor

    model, sampler = load_actor(weights)
    log.info("faces move by diffusion", extra={"weights": str(weights), "sampler": str(sampler)})
    diffusion = DiffusionMotion(model, sampler.steps, sampler.window, max_sessions)
    diffusion.warm_up()
    return FallbackMotion(diffusion, ProceduralMotion, Saving.TEACHER)
