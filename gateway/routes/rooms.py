"""/api/rooms: calls by REST."""

from dataclasses import dataclass
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Header, Request, Response
from livekit import api
from starlette.requests import HTTPConnection

from gateway.access import Caller, CallerDep, RoomCall, RoomsKey, creating, the_avatar
from gateway.bodies import content_type, json_body_docs, read_json, unsupported_type
from gateway.deps import PublicUrls, PublicUrlsDep, Services, ServicesDep
from gateway.errors import GatewayError, Problem, problem_docs
from gateway.routes.avatars import portrait_form_schema
from gateway.schemas import AtCapacity, NewRoom, NewUnnamedAvatar, RoomCreated, RoomView
from gateway.store.tables import Avatar, Call
from gateway.uploads import read_portrait_form
from proto.messages import Expression, Mood

router = APIRouter(prefix="/api", tags=["rooms"])
TicketHeader = Annotated[
    str | None,
    Header(alias="XStreamer-Ticket", description="Of an earlier answer 429: keeps the place"),
]


async def creating_or_waiting(
    caller: CallerDep,
    connection: HTTPConnection,
    services: ServicesDep,
    ticket: TicketHeader = None,
) -> None:
    """Whoever waits for a place was counted when they came, and is told when to ask again."""
    if ticket is None or not services.admission.waits(ticket):
        await creating(caller, connection, services)


_ROOM_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/NewRoom"}},
            **portrait_form_schema(
                *("portrait", "consent"),
                transcript={"type": "boolean"},
                mood={"type": "string", "enum": [*get_args(Expression)]},
            ),
        },
    }
}


@router.post(
    "/rooms",
    status_code=201,
    dependencies=[Depends(creating_or_waiting)],
    responses=problem_docs(400, 401, 403, 404, 408, 413, 415, 422, 503)
    | problem_docs(429, schemas=(AtCapacity, Problem)),
    openapi_extra=_ROOM_BODY,
)
async def create_room(
    request: Request,
    caller: RoomsKey,
    services: ServicesDep,
    urls: PublicUrlsDep,
    ticket: TicketHeader = None,
) -> RoomCreated:
    """Call an avatar by its id, or upload a portrait and call it in one step.

    429 `at_capacity`: all places are taken. Ask again with its ticket after Retry-After.
    """
    async with services.admission.place(ticket):
        wanted = await _wanted(request, caller, services)
        try:
            call, token = await services.calls.open(
                wanted.avatar, caller.owner, wanted.transcript, wanted.mood
            )
        except (GatewayError, api.TwirpError):
            if wanted.uploaded:  # or each new try would leave another avatar
                await services.retention.forget_avatar(wanted.avatar.id)
            raise
    return RoomCreated(
        room=call.room,
        livekit_url=urls.livekit,
        token=token,
        call_url=urls.call(call.room, token),
        expires_at=call.expires_at,
    )


@router.delete(
    "/waiting/{ticket}",
    status_code=204,
    response_class=Response,
    responses=problem_docs(401, 403),
)
async def stop_waiting(_caller: RoomsKey, ticket: str, services: ServicesDep) -> None:
    """Give up a place in the waiting line; those behind move up at once."""
    services.admission.leave(ticket)


@router.get("/rooms/{room}", responses=problem_docs(401, 404))
async def get_room(call: RoomCall, services: ServicesDep, urls: PublicUrlsDep) -> RoomView:
    """Takes the room's own token too."""
    return _view(call, services, urls)


@router.put(
    "/rooms/{room}/mood",
    responses=problem_docs(400, 401, 404, 408, 409, 413, 415, 422, 503),
    openapi_extra=json_body_docs(Mood),
)
async def set_mood(
    request: Request, call: RoomCall, services: ServicesDep, urls: PublicUrlsDep
) -> RoomView:
    """The face's own mood from now on; replies lay theirs over it. Eased in within half a second.

    Takes the room's own token too. A face of pixels (the LTX codec) does not change.
    """
    await services.calls.set_mood(call, await read_json(request, Mood))
    return _view(await services.calls.get(call.room), services, urls)


@router.delete("/rooms/{room}", responses=problem_docs(401, 404, 503))
async def end_room(call: RoomCall, services: ServicesDep, urls: PublicUrlsDep) -> RoomView:
    """End the call for everyone; its record stays for a while (`call_days`).

    Takes the room's own token too.
    """
    await services.calls.end(call.room, "deleted")
    return _view(await services.calls.get(call.room), services, urls)


@router.delete("/rooms/{room}/record", status_code=204, responses=problem_docs(401, 404, 503))
async def forget_room(call: RoomCall, services: ServicesDep) -> Response:
    """End the call if it still is on, and delete everything that is kept of it.

    Takes the room's own token too.
    """
    await services.retention.forget_call(call.room)
    return Response(status_code=204)


def _view(call: Call, services: Services, urls: PublicUrls) -> RoomView:
    return RoomView.of(call, urls.livekit, services.settings.livekit_local)


@dataclass(frozen=True)
class _Wanted:
    """Whom to call, whether they were made for this call, whether with captions, in which mood."""

    avatar: Avatar
    uploaded: bool
    transcript: bool | None
    mood: Mood | None


async def _wanted(request: Request, caller: Caller, services: Services) -> _Wanted:
    kind = content_type(request)
    if kind == "multipart/form-data":
        form = await read_portrait_form(request, services.settings.max_upload_bytes)
        new = form.read_as(NewUnnamedAvatar)
        avatar = await services.avatars.admit(form.image, new, caller.owner)
        mood = None if new.mood is None else Mood(expression=new.mood)
        return _Wanted(avatar, True, new.transcript, mood)
    if kind != "application/json":
        raise unsupported_type(
            kind, "Send {avatar_id} as application/json, or a portrait as multipart/form-data."
        )
    room = await read_json(request, NewRoom)
    avatar = await the_avatar(room.avatar_id, caller, services)
    return _Wanted(avatar, False, room.transcript, room.mood)
