"""/api/avatars and /api/voices."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

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
    "name": {"type": "string", "maxLength": 80},
    "persona": {"type": "string", "maxLength": 2000, "description": "Who the avatar is"},
    "voice": {"type": "string", "description": "An id from GET /api/voices"},
}


def portrait_form_schema(*required: str) -> dict[str, Any]:
    """OpenAPI media type of an upload; the body is read by hand so that its limit holds."""
    schema = {"type": "object", "required": [*required], "properties": PORTRAIT_FIELDS}
    return {"multipart/form-data": {"schema": schema}}


_UPLOAD_BODY = {
    "requestBody": {"required": True, "content": portrait_form_schema("portrait", "name")}
}


@router.post(
    "/avatars",
    status_code=201,
    responses=problem_docs(400, 413, 415, 422, 503),
    openapi_extra=_UPLOAD_BODY,
)
async def create_avatar(request: Request, services: ServicesDep) -> AvatarCreated:
    """Upload a portrait. A refusal carries a `code` and a `hint` that says what to do."""
    form = await read_portrait_form(request, services.settings.max_upload_bytes)
    avatar = await services.avatars.admit(form.image, form.read_as(NewAvatar))
    return AvatarCreated(
        id=avatar.id,
        name=avatar.name,
        preview_url=preview_url(avatar.id),
        checks=avatar.checks,
    )


@router.get("/avatars")
async def list_avatars(services: ServicesDep) -> list[AvatarView]:
    """Default avatars first, then uploads, newest first."""
    return [AvatarView.of(avatar) for avatar in await asyncio.to_thread(services.avatars.store.all)]


@router.get("/avatars/{avatar_id}", responses=problem_docs(404))
async def get_avatar(avatar_id: str, services: ServicesDep) -> AvatarView:
    return AvatarView.of(await services.avatars.get(avatar_id))


@router.delete("/avatars/{avatar_id}", status_code=204, responses=problem_docs(404, 409))
async def delete_avatar(avatar_id: str, services: ServicesDep) -> Response:
    """Forget an uploaded avatar and its pictures. Default avatars stay (409)."""
    await services.avatars.remove(avatar_id)
    return Response(status_code=204)


@router.get(
    "/avatars/{avatar_id}/portrait",
    response_class=FileResponse,
    responses={200: {"content": {"image/png": {}, "image/jpeg": {}}}, **problem_docs(404)},
)
async def get_portrait(avatar_id: str, services: ServicesDep) -> FileResponse:
    """The square picture that is called."""
    await services.avatars.get(avatar_id)
    path = services.avatars.portraits.best(avatar_id)
    if path is None:
        raise not_found("portrait", avatar_id)
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(path, media_type=media_type(path), headers=headers)


@router.get("/voices")
async def list_voices() -> list[Voice]:
    """Voices that an avatar may be given."""
    return list(voices().values())
