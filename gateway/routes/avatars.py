"""/api/avatars and /api/voices."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from gateway.access import AvatarsKey, AvatarsOrRoomsKey, Counted, SeenAvatar
from gateway.consent import WORDING
from gateway.deps import ServicesDep
from gateway.errors import not_found, problem_docs
from gateway.portraits import media_type
from gateway.schemas import AvatarCreated, AvatarView, NewAvatar, preview_url
from gateway.uploads import read_portrait_form
from gateway.voices import Voice, voices

router = APIRouter(prefix="/api", tags=["avatars"])

PORTRAIT_FIELDS: dict[str, Any] = {
    "portrait": {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "description": "JPEG, PNG or WebP with one face",
    },
    "name": {"type": "string", "maxLength": 80, "pattern": r"\S"},
    "persona": {"type": "string", "maxLength": 2000, "description": "Who the avatar is"},
    "voice": {
        "type": "string",
        "enum": [*voices(), ""],
        "description": "An id from GET /api/voices; empty for the default",
    },
    "consent": {"type": "boolean", "enum": [True], "description": f'Confirms: "{WORDING}"'},
}


def portrait_form_schema(*required: str, **more: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI media type of an upload; the body is read by hand so that its limit holds."""
    schema = {
        "type": "object",
        "required": [*required],
        "properties": PORTRAIT_FIELDS | more,
        "additionalProperties": False,
    }
    return {"multipart/form-data": {"schema": schema}}


_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": portrait_form_schema("portrait", "consent", "name"),
    }
}


@router.post(
    "/avatars",
    status_code=201,
    dependencies=[Counted],
    responses=problem_docs(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=_UPLOAD_BODY,
)
async def create_avatar(
    request: Request, caller: AvatarsKey, services: ServicesDep
) -> AvatarCreated:
    """Upload a portrait. A refusal carries a `code` and a `hint` that says what to do."""
    form = await read_portrait_form(request, services.settings.max_upload_bytes)
    avatar = await services.avatars.admit(form.image, form.read_as(NewAvatar), caller.owner)
    return AvatarCreated(
        id=avatar.id,
        name=avatar.name,
        preview_url=preview_url(avatar.id),
        checks=avatar.checks,
    )


@router.get("/avatars", responses=problem_docs(401, 403))
async def list_avatars(caller: AvatarsOrRoomsKey, services: ServicesDep) -> list[AvatarView]:
    """Default avatars first, then the caller's own uploads, newest first."""
    avatars = await asyncio.to_thread(services.avatars.store.all)
    return [AvatarView.of(a) for a in avatars if a.is_default or caller.owns(a)]


@router.get("/avatars/{avatar_id}", responses=problem_docs(401, 404))
async def get_avatar(avatar: SeenAvatar) -> AvatarView:
    return AvatarView.of(avatar)


@router.delete(
    "/avatars/{avatar_id}", status_code=204, responses=problem_docs(401, 403, 404, 409, 503)
)
async def delete_avatar(_caller: AvatarsKey, avatar: SeenAvatar, services: ServicesDep) -> Response:
    """Delete everything of an uploaded avatar: pictures, record, and its calls, which end.

    Default avatars stay (409). A 503 means that nothing was deleted.
    """
    await services.retention.forget_avatar(avatar.id)
    return Response(status_code=204)


@router.get(
    "/avatars/{avatar_id}/portrait",
    response_class=FileResponse,
    responses={200: {"content": {"image/png": {}, "image/jpeg": {}}}, **problem_docs(401, 404)},
)
async def get_portrait(avatar: SeenAvatar, services: ServicesDep) -> FileResponse:
    """The square picture that is called."""
    path = services.avatars.portraits.best(avatar.id)
    if path is None:
        raise not_found("portrait", avatar.id)
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type=media_type(path), headers=headers)


@router.get("/voices", responses=problem_docs(401, 403))
async def list_voices(_caller: AvatarsOrRoomsKey) -> list[Voice]:
    """Voices that an avatar may be given."""
    return list(voices().values())
