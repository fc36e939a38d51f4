"""`python -m gateway`: serve REST and the web page, configured by XSTREAMER_GATEWAY_*."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.settings import GatewaySettings
from proto.wire.logs import log_to_stderr

logger = logging.getLogger("gateway")
PING_S = 10
"""An agent whose whole host is gone closes no lifeline."""
SHUTDOWN_S = 3
"""Open signalling connections would otherwise keep the process until their calls end."""


def main() -> int:
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        sys.stderr.write(f"XSTREAMER_GATEWAY_*: {error}\n")
        return 2
    log_to_stderr(settings.log_level)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    logger.info("serving", extra={"host": settings.host, "port": settings.port})
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        # At "info" uvicorn logs the address of each websocket, and with it the caller's token.
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ws="websockets-sansio",
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
