"""What agents tell of their lives: a connection as long as they live; a worker that has come."""

import logging
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, WebSocket
from pydantic import ValidationError

from gateway.bodies import read_body
from gateway.deps import ServicesDep, services_of
from gateway.errors import GatewayError
from gateway.lifelines import Agent
from gateway.signatures import check_signature
from services.room_agent.announcement import WORKERS_PATH, Announcement
from services.room_agent.lifeline import claim

logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
GONE = (1005, 1006)
"""How a connection ends on which nobody said goodbye: whoever gives a reason is alive."""
MAX_ANNOUNCEMENT_BYTES = 4096


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
    if ended in GONE:
        logger.warning("an agent's lifeline broke", extra={"room": room, "agent": identity})
        services.lifelines.broken.put_nowait(agent)


@router.post(WORKERS_PATH, status_code=204)
async def welcome(request: Request, services: ServicesDep) -> Response:
    """A worker takes calls; signed like the agent's reports."""
    body = await read_body(request, MAX_ANNOUNCEMENT_BYTES)
    check_signature(services.token_verifier, body, request.headers.get("authorization", ""))
    try:
        services.workers.hear(Announcement.model_validate_json(body))
    except ValidationError as error:
        raise GatewayError(422, "bad_worker", "No worker says this", str(error)) from None
    return Response(status_code=204)


async def _end_of(line: WebSocket) -> int:
    """The close code; what is said before it is ignored, whatever it is."""
    while (message := await line.receive())["type"] != "websocket.disconnect":
        pass
    return int(message["code"])
