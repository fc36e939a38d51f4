"""`python -m services.room_agent`: the agent worker, until SIGINT or SIGTERM."""

import asyncio
import logging
import os
import signal

from livekit.agents import AgentServer

from proto.wire.logs import log_to_stderr
from services.room_agent.announcement import announcing
from services.room_agent.config import AgentConfig
from services.room_agent.health import serve_health
from services.room_agent.job_server import fork_job_server
from services.room_agent.worker import PRELOAD, build_server, job_environment


def main() -> None:
    """Run one worker. Calls that are on when it is told to stop may finish (drain)."""
    config = AgentConfig()
    os.environ.update(job_environment(config))
    fork_job_server(PRELOAD)
    log_to_stderr(config.log_level)
    asyncio.run(_serve(config))


async def _serve(config: AgentConfig) -> None:
    server = build_server(config)
    async with serve_health(config, server), announcing(config, server):
        await _run_until_told(server)


async def _run_until_told(server: AgentServer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(server.run(), name="worker")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        stopping.cancel()
        await running
        return
    try:
        await server.drain()
    except TimeoutError:
        logging.getLogger(__name__).warning("calls were still on when the worker stopped")
    await server.aclose()
    await running


if __name__ == "__main__":
    main()
