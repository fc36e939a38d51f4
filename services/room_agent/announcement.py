"""A worker that takes calls tells the gateway, which asks again for what no worker took."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from livekit.agents import AgentServer

from services.room_agent.config import AgentConfig, GatewayAddress
from services.room_agent.gateway_line import TIMEOUT_S, signature

log = logging.getLogger(__name__)

WORKERS_PATH: Final = "/api/workers"


@asynccontextmanager
async def announcing(config: AgentConfig, server: AgentServer) -> AsyncIterator[None]:
    """Announce each registration with LiveKit while inside."""
    if (address := config.gateway()) is None:
        yield
        return
    async with asyncio.TaskGroup() as tasks:

        def on_registered(*_: object) -> None:
            tasks.create_task(announce(address, config.agent_name), name="announce")

        server.on("worker_registered", on_registered)
        yield
        server.off("worker_registered", on_registered)


async def announce(address: GatewayAddress, agent_name: str) -> None:
    """A gateway that does not hear it finds out a second later by itself."""
    body = agent_name.encode()
    verify = address.certificate is None or address.trust
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=verify) as client:
        headers = {"Authorization": signature(address, body)}
        try:
            url = f"{address.url.rstrip('/')}{WORKERS_PATH}"
            (await client.post(url, content=body, headers=headers)).raise_for_status()
        except httpx.HTTPError as error:
            log.info("the gateway was not told of this worker", extra={"reason": repr(error)})
