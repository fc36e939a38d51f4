"""/api/calls/{room}/lifeline: a connection that an agent holds as long as it lives."""

import logging
from typing import Annotated

from fastapi import APIRouter, Query, Response, WebSocket

from gateway.deps import services_of
from gateway.errors import GatewayError
from gateway.lifelines import Agent
from gateway.signatures import check_signature
from services.room_agent.lifeline import claim

logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
IN_ORDER = (1000, 1001)


@router.websocket("/api/calls/{room}/lifeline")
async def hold(line: WebSocket, room: str, identity: Annotated[str, Query(max_length=128)]) -> None:
    """Signed like the agent's reports. One that breaks off is an agent that has died."""
    services = services_of(line)
    try:
        signature = line.headers.get("authorization", "")
        check_signature(services.token_verifier, claim(room, identity), signature)
    except GatewayError as refusal:
        await line.send_denial_response(Response(str(refusal), refusal.problem.status))
        return
    agent = Agent(room, identity)
    with services.lifelines.held(agent):
        await line.accept()
        ended = await _end_of(line)
    if ended not in IN_ORDER:
        logger.warning("an agent's lifeline broke", extra={"room": room, "agent": identity})
        services.lifelines.broken.put_nowait(agent)


async def _end_of(line: WebSocket) -> int:
    """The close code; what is said before it is ignored, whatever it is."""
    while (message := await line.receive())["type"] != "websocket.disconnect":
        pass
    return int(message["code"])
