"""/api/keys for whoever runs the server, and /api/session for browsers."""

import asyncio
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.access import SESSION_COOKIE, AdminKey, Caller, CallerDep, Counted
from gateway.bodies import json_body_docs, read_json
from gateway.deps import ServicesDep
from gateway.errors import GatewayError, not_found, problem_docs
from gateway.keys import Scope
from gateway.store.tables import ApiKey

router = APIRouter(prefix="/api", tags=["keys"])


class NewKey(BaseModel):
    """Whom a key is for and what it may do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=16)]


class KeyView(BaseModel):
    """A key's record; the key itself is not in it."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(id=key.id, name=key.name, scopes=key.scopes, created_at=key.created_at)


class KeyCreated(KeyView):
    """A new key. `key` is shown this once."""

    key: str


class SessionView(BaseModel):
    """What this browser may do from now on."""

    scopes: list[str]
    expires_at: datetime | None


@router.post(
    "/keys",
    status_code=201,
    dependencies=[Counted],
    responses=problem_docs(400, 401, 403, 408, 413, 415, 422, 429),
    openapi_extra=json_body_docs(NewKey),
)
async def create_key(request: Request, caller: AdminKey, services: ServicesDep) -> KeyCreated:
    """The key is in this answer and nowhere else: only its hash is kept."""
    _sent_with_a_key(caller)
    wanted = await read_json(request, NewKey)
    scopes: tuple[Scope, ...] = tuple(sorted(set(wanted.scopes)))
    key, shown = await asyncio.to_thread(services.keys.create, wanted.name, scopes)
    return KeyCreated(**KeyView.of(key).model_dump(), key=shown)


@router.get("/keys", responses=problem_docs(401, 403))
async def list_keys(caller: AdminKey, services: ServicesDep) -> list[KeyView]:
    _sent_with_a_key(caller)
    return [KeyView.of(key) for key in await asyncio.to_thread(services.keys.store.all)]


@router.delete("/keys/{key_id}", status_code=204, responses=problem_docs(401, 403, 404))
async def revoke_key(key_id: str, caller: AdminKey, services: ServicesDep) -> Response:
    """From now on it opens nothing, and the sessions opened with it end. Calls go on."""
    _sent_with_a_key(caller)
    if not await asyncio.to_thread(services.keys.store.remove, key_id):
        raise not_found("key", key_id)
    return Response(status_code=204)


def _sent_with_a_key(caller: Caller) -> None:
    """What a page could be tricked into must not make keys."""
    if caller.in_browser:
        raise GatewayError(
            403, "key_needed", "Keys are managed with a key, not from the page", "Send the key."
        )


@router.post("/session", status_code=201, responses=problem_docs(401, 429))
async def sign_in(
    request: Request, response: Response, caller: CallerDep, services: ServicesDep
) -> SessionView:
    """Exchange the key of this request for a cookie that scripts cannot read."""
    if caller.key is None:
        return SessionView(scopes=sorted(caller.scopes), expires_at=None)
    if caller.in_browser:
        return SessionView(scopes=caller.key.scopes, expires_at=caller.key.expires_at)
    ttl_s = services.settings.session_ttl_s
    session, shown = await asyncio.to_thread(services.keys.open_session, caller.key, ttl_s)
    response.set_cookie(
        SESSION_COOKIE,
        shown,
        max_age=ttl_s,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return SessionView(scopes=session.scopes, expires_at=session.expires_at)


@router.delete("/session", status_code=204, responses=problem_docs(401))
async def sign_out(caller: CallerDep, services: ServicesDep) -> Response:
    """End this browser's session."""
    if caller.in_browser and caller.key is not None:
        await asyncio.to_thread(services.keys.store.remove, caller.key.id)
    answer = Response(status_code=204)
    answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return answer
