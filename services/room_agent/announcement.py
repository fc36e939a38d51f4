"""A worker tells the gateway every few seconds how many calls it may hold, and how it fares.

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

from proto.messages import EngineStatus
from proto.wire.sockets import status_of
from services.room_agent.config import AgentConfig, GatewayAddress
from services.room_agent.gateway_line import TIMEOUT_S, signature

log = logging.getLogger(__name__)

WORKERS_PATH: Final = "/api/workers"
EVERY_S: Final = 2.0
ENGINE_S: Final = 1.0
"""An engine that does not say within this time how busy it is was not measured."""
Text = Annotated[str, Field(max_length=300)]
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Announcement(BaseModel):
    """A worker by a name that outlives its process. `registration`: LiveKit's name of it.

    Factors and step are what its engines measure (`EngineStatus`); 0: nothing was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    registration: Text
    max_calls: Annotated[int, Field(ge=0, le=100_000)]
    """0: it takes no more."""
    calls: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Those that it holds now."""
    actor_factor: Factor = 0.0
    thinker_factor: Factor = 0.0
    degradation_step: Annotated[int, Field(ge=0, le=100)] = 0


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
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=verify) as client:
        while True:
            actor, thinker = await asyncio.gather(
                _engine(config, config.actor_endpoint, config.actor_curve_server_key),
                _engine(config, config.thinker_endpoint, config.thinker_curve_server_key),
            )
            worker = Announcement(
                name=name,
                registration=registration,
                max_calls=0 if server.draining else config.max_calls,
                calls=len(server.active_jobs),
                actor_factor=actor.real_time_factor if actor else 0.0,
                thinker_factor=thinker.real_time_factor if thinker else 0.0,
                degradation_step=actor.degradation_step if actor else 0,
            )
            await _tell(client, address, worker)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    registration = await registrations.get()


async def _engine(config: AgentConfig, endpoint: str, server_key: str) -> EngineStatus | None:
    return await status_of(endpoint, ENGINE_S, config.curve_to(server_key))


async def _tell(client: httpx.AsyncClient, address: GatewayAddress, worker: Announcement) -> None:
    body = worker.model_dump_json().encode()
    headers = {"Authorization": signature(address, body)}
    try:
        url = f"{address.url.rstrip('/')}{WORKERS_PATH}"
        (await client.post(url, content=body, headers=headers)).raise_for_status()
    except httpx.HTTPError as error:
        log.info("the gateway was not told of this worker", extra={"reason": repr(error)})
