"""A worker tells the gateway every few seconds that it takes calls, and how many it may hold.

The gateway counts places by it, and asks at once for the calls that no worker took.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final

import httpx
from livekit.agents import AgentServer
from pydantic import BaseModel, ConfigDict, Field

from services.room_agent.config import AgentConfig, GatewayAddress
from services.room_agent.gateway_line import TIMEOUT_S, signature

log = logging.getLogger(__name__)

WORKERS_PATH: Final = "/api/workers"
EVERY_S: Final = 10.0
LOOK_S: Final = 1.0
"""What changed is told so soon."""
Text = Annotated[str, Field(max_length=300)]


class Announcement(BaseModel):
    """A worker by a name that outlives its process. `registration`: LiveKit's name of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    registration: Text
    max_calls: Annotated[int, Field(ge=0, le=100_000)]
    """0: it takes no more."""
    draining_calls: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Calls of one that takes no more: they fill no place of the others."""


@asynccontextmanager
async def announcing(config: AgentConfig, server: AgentServer) -> AsyncIterator[None]:
    """Announce from the first registration with LiveKit on, while inside."""
    if (address := config.gateway()) is None:
        yield
        return
    registrations: asyncio.Queue[str] = asyncio.Queue()

    def on_registered(registration: str, *_: object) -> None:
        registrations.put_nowait(registration)

    server.on("worker_registered", on_registered)
    telling = asyncio.create_task(_announce(config, server, address, registrations))
    try:
        yield
    finally:
        telling.cancel()
        server.off("worker_registered", on_registered)


async def _announce(
    config: AgentConfig,
    server: AgentServer,
    address: GatewayAddress,
    registrations: asyncio.Queue[str],
) -> None:
    name = f"{socket.gethostname()}:{config.health_port}"
    registration = await registrations.get()
    verify = address.certificate is None or address.trust
    clock_s = asyncio.get_running_loop().time
    told, again_s = None, 0.0
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=verify) as client:
        while True:
            worker = Announcement(
                name=name,
                registration=registration,
                max_calls=0 if server.draining else config.max_calls,
                draining_calls=len(server.active_jobs) if server.draining else 0,
            )
            if worker != told or clock_s() >= again_s:
                told, again_s = worker, clock_s() + EVERY_S
                await _tell(client, address, worker)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    registration = await registrations.get()


async def _tell(client: httpx.AsyncClient, address: GatewayAddress, worker: Announcement) -> None:
    body = worker.model_dump_json().encode()
    headers = {"Authorization": signature(address, body)}
    try:
        url = f"{address.url.rstrip('/')}{WORKERS_PATH}"
        (await client.post(url, content=body, headers=headers)).raise_for_status()
    except httpx.HTTPError as error:
        log.info("the gateway was not told of this worker", extra={"reason": repr(error)})
