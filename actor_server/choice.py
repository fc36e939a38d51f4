"""Which codec draws the faces of this process, and what moves them in its latents."""

import logging

from actor_server.config import ActorConfig
from actor_server.face import FaceStudio
from actor_server.mesh_studio import MeshStudio
from actor_server.motion.choice import choose_motion, diffusion_from
from actor_server.motion.held import HeldMotion
from actor_server.motion.source import MotionSource
from actor_server.saving import Saving

log = logging.getLogger(__name__)


def choose_studio(config: ActorConfig) -> FaceStudio:
    """What was asked for. Raises FileNotFoundError or LtxWeightsUnusable."""
    assets = config.assets.expanduser()
    if config.codec == "mesh":
        return MeshStudio(assets)
    # torch and diffusers are for those who asked for them
    from actor_server.compute import Compute
    from actor_server.ltx_studio import LtxStudio

    compute = Compute.named(config.device, config.dtype)
    studio = LtxStudio.from_files(assets, config.autoencoder_directory, compute)
    log.info("faces are drawn by LTX-Video's decoder", extra={"compute": str(compute)})
    return studio


def choose_mover(config: ActorConfig, studio: FaceStudio) -> MotionSource:
    """What moves this studio's faces. Raises WeightsUnusable."""
    if config.codec == "mesh":
        return choose_motion(config.motion, config.weights, config.max_sessions)
    from actor_server.compute import Compute

    assert config.weights is not None, "config.py asks for them"
    compute = Compute.named(config.device, config.dtype, float8=config.float8, graphs=config.graphs)
    weights = config.weights.expanduser()
    diffusion = diffusion_from(weights, studio.chunk_shape, config.max_sessions, compute)
    return HeldMotion(diffusion) if Saving.STILL in studio.savings else diffusion
