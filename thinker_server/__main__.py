"""`python -m thinker_server`: load the models, then serve until SIGTERM or Ctrl-C."""

import asyncio
import logging
import os
import signal
import sys

from prometheus_client import start_http_server

from proto.wire.logs import log_to_stderr
from thinker_server.backend import Engine, load_engine
from thinker_server.config import ThinkerConfig
from thinker_server.errors import ThinkerError
from thinker_server.server import ThinkerServer

log = logging.getLogger(__name__)

KERNELS_KEPT = 32
"""torch's CPU kernels are made for the shape at hand, and both oneDNN and torch's layer above it
keep 1,024 of them: prompts and sentences of every length go on filling that for hours. Few are
ever used again, so keeping 32 costs no time."""
KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def main() -> int:
    """Exit code 0 after a signal, 2 when the configuration or an asset is at fault."""
    for cache in KERNEL_CACHES:
        os.environ.setdefault(cache, str(KERNELS_KEPT))
    config = ThinkerConfig()
    log_to_stderr(config.log_level)
    try:
        engine = load_engine(config)
    except ThinkerError as error:
        log.error("cannot start", extra={"code": error.code, "reason": str(error)})
        return 2
    if config.metrics_port:
        start_http_server(
            config.metrics_port, addr=config.metrics_host, registry=engine.metrics.registry
        )
    asyncio.run(_serve(engine))
    return 0


async def _serve(engine: Engine) -> None:
    serving = asyncio.create_task(ThinkerServer(engine).serve(), name="server")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    await asyncio.wait([serving])
    await engine.close()
    if not serving.cancelled() and (error := serving.exception()) is not None:
        raise error


if __name__ == "__main__":
    sys.exit(main())
