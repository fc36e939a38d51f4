"""LiveKit tells us what happens in rooms; signed with our own key."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response
from google.protobuf.json_format import Parse, ParseError
from livekit import api

from gateway.bodies import read_body
from gateway.deps import Services, ServicesDep
from gateway.errors import GatewayError
from gateway.signatures import check_signature

logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
MAX_EVENT_BYTES = 256 * 1024


@router.post("/api/livekit/webhook", status_code=204)
async def receive(request: Request, services: ServicesDep) -> Response:
    body = await read_body(request, MAX_EVENT_BYTES)
    event = verified_event(services.token_verifier, body, request.headers.get("authorization", ""))
    act = _ACTIONS.get(event.event)
    if act is not None:
        await act(services, event)
    return Response(status_code=204)


def verified_event(verifier: api.TokenVerifier, body: bytes, signature: str) -> api.WebhookEvent:
    """Raises GatewayError 401 unless this body is an event that was signed with our key."""
    check_signature(verifier, body, signature)
    try:
        return Parse(body.decode(), api.WebhookEvent(), ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError, RecursionError):
        raise GatewayError(401, "bad_signature", "The event is none of LiveKit's") from None


async def _room_started(services: Services, event: api.WebhookEvent) -> None:
    await services.calls.close_if_over(event.room.name)


async def _participant_joined(services: Services, event: api.WebhookEvent) -> None:
    if event.participant.kind == api.ParticipantInfo.Kind.AGENT:
        await services.calls.agent_joined(event.room.name)
    elif event.participant.kind == api.ParticipantInfo.Kind.STANDARD:
        await services.calls.caller_joined(event.room.name)


async def _room_finished(services: Services, event: api.WebhookEvent) -> None:
    """A room that nobody came to may still be made again by its token."""
    call = await asyncio.to_thread(services.calls.store.get, event.room.name)
    if call is not None and call.state == "active":
        await asyncio.to_thread(services.calls.store.end, call.room, "left")


_ACTIONS: dict[str, Callable[[Services, api.WebhookEvent], Awaitable[None]]] = {
    "room_started": _room_started,
    "participant_joined": _participant_joined,
    "room_finished": _room_finished,
}
