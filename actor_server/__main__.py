"""`python -m actor_server`: configuration from the environment, then serve until told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import sys

from pydantic import ValidationError

from actor_server.config import ActorConfig
from actor_server.errors import LtxWeightsUnusable, SpeechWeightsUnusable, WeightsUnusable
from proto.wire.curve import CurveServer
from proto.wire.logs import log_to_stderr

log = logging.getLogger("actor_server")


def limit_threads(threads: int) -> None:
    """Bound every thread pool of the numeric libraries. Before any of them is imported."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[variable] = str(threads)
    import cv2

    cv2.setNumThreads(threads)


def curve_keys(config: ActorConfig) -> CurveServer | None:
    """The server's CURVE keys, when both are configured."""
    if config.curve_public_key is None or config.curve_secret_key is None:
        return None
    secret = config.curve_secret_key.get_secret_value()
    return CurveServer(config.curve_public_key, secret, config.curve_client_keys)


async def serve(config: ActorConfig) -> None:
    """Load, warm up, then answer until SIGTERM or SIGINT."""
    from prometheus_client import start_http_server

    from actor_server.choice import choose_mover, choose_studio
    from actor_server.server import ActorServer
    from actor_server.speech.choice import choose_speech

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    speech = await asyncio.to_thread(
        choose_speech, config.speech, config.speech_directory, config.speech_device
    )
    with contextlib.closing(await asyncio.to_thread(choose_studio, config)) as studio:
        await asyncio.to_thread(studio.warm_up)
        motion = await asyncio.to_thread(choose_mover, config, studio)
        if config.metrics_port:
            start_http_server(config.metrics_port, config.metrics_host)
        server = ActorServer(config, motion, studio, speech)
        serving = asyncio.create_task(server.run(curve_keys(config)))
        stopping = asyncio.create_task(stop.wait())
        ready = {"endpoint": config.endpoint, "motion": motion.label}
        log.info("the Actor is ready", extra=ready)
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not serving.done():
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def main() -> int:
    try:
        config = ActorConfig()
    except ValidationError as error:
        sys.stderr.write(f"The Actor's configuration is wrong:\n{error}\n")
        return 2
    log_to_stderr(config.log_level)
    limit_threads(config.threads)
    try:
        asyncio.run(serve(config))
    except (
        FileNotFoundError,
        WeightsUnusable,
        LtxWeightsUnusable,
        SpeechWeightsUnusable,
    ) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
