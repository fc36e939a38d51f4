"""Who asks, and what they may do: an API key, a browser's session, or the token of one room.

Every route that is not public names one of the dependencies at the end. Where no keys are asked
for (loopback), everyone may do everything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends
from jwt import InvalidTokenError
from livekit import api
from starlette.requests import HTTPConnection

from gateway.deps import Services, ServicesDep
from gateway.errors import GatewayError, not_found
from gateway.keys import Scope, key_hash
from gateway.rate_limits import network_of
from gateway.store.tables import ApiKey, Avatar, Call

SESSION_COOKIE: Final = "xs_session"

_KEY_NEEDED = GatewayError(
    401,
    "key_needed",
    "This needs a key",
    "Send `Authorization: Bearer <key>`, or open the page with the address that was printed at "
    "its start. New keys: `xstreamer keys create`.",
)


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request. `owner` marks what they make; `room` is what their token opens."""

    owner: str | None
    scopes: frozenset[str]
    key: ApiKey | None = None
    room: str | None = None

    def may(self, *scopes: Scope) -> bool:
        """Whether any of these was given to them."""
        return not self.scopes.isdisjoint({"admin", *scopes})

    def owns(self, thing: Avatar | Call) -> bool:
        """Whether they, or their own key, made it. An admin's is everything."""
        return self.may("admin") or (self.owner is not None and thing.owner == self.owner)

    @property
    def in_browser(self) -> bool:
        """Known by a cookie, not by a key that was sent."""
        return self.key is not None and self.key.parent is not None


EVERYONE = Caller(owner=None, scopes=frozenset({"admin"}))


async def identify(connection: HTTPConnection, services: ServicesDep) -> Caller:
    """Raises GatewayError 401 when keys are asked for and there is no good one."""
    if services.settings.is_open:
        return EVERYONE
    kind, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and bearer:
        key = await _key(services, bearer.strip(), session=False)
        return _of_key(key) if key is not None else _of_room_token(services, bearer.strip())
    if cookie := connection.cookies.get(SESSION_COOKIE):
        key = await _key(services, cookie, session=True)
        if key is not None:
            return _of_key(key)
    raise _KEY_NEEDED


async def may_see_figures(connection: HTTPConnection, services: ServicesDep) -> bool:
    """Whether whoever asks may, on a route that is public."""
    try:
        return (await identify(connection, services)).may("metrics")
    except GatewayError:
        return False


async def _key(services: Services, shown: str, *, session: bool) -> ApiKey | None:
    """A cookie is no key and a key no cookie."""
    key = await asyncio.to_thread(services.keys.store.by_hash, key_hash(shown))
    return key if key is not None and (key.parent is not None) == session else None


def _of_key(key: ApiKey) -> Caller:
    return Caller(key.parent or key.id, frozenset(key.scopes), key)


def _of_room_token(services: Services, token: str) -> Caller:
    room = room_of_token(services.token_verifier, token)
    if room is None:
        raise _KEY_NEEDED
    return Caller(owner=None, scopes=frozenset(), room=room)


def room_of_token(verifier: api.TokenVerifier, token: str) -> str | None:
    """The one room that a token signed with our LiveKit key opens; None for all other texts."""
    try:
        claims = verifier.verify(token)
    except (InvalidTokenError, ValueError):
        return None
    grants = claims.video
    return grants.room if grants is not None and grants.room_join and grants.room else None


CallerDep = Annotated[Caller, Depends(identify)]
SeesFigures = Annotated[bool, Depends(may_see_figures)]


def needs(*scopes: Scope) -> Callable[[CallerDep], Awaitable[Caller]]:
    """A dependency: any of these scopes. Raises GatewayError 403 when none was given."""

    async def scoped(caller: CallerDep) -> Caller:
        if not caller.may(*scopes):
            wanted = " or ".join(scopes)
            raise GatewayError(
                403,
                "scope_missing",
                f"This needs a key with the scope {wanted}",
                f"Ask whoever runs this server for: xstreamer keys create NAME --scope {scopes[0]}",
            )
        return caller

    return scoped


async def the_room(room: str, caller: CallerDep, services: ServicesDep) -> Call:
    """The call of a room that the caller may see: by the room's token, or made with their key.

    Others learn nothing, not even that it exists. Raises GatewayError 404.
    """
    call = await services.calls.get(room)
    if caller.room == room or (caller.may("rooms") and caller.owns(call)):
        return call
    raise not_found("room", room)


async def the_avatar(avatar_id: str, caller: CallerDep, services: ServicesDep) -> Avatar:
    """An avatar that the caller may see: shipped, their own, or whom their room calls.

    Raises GatewayError 404.
    """
    avatar = await services.avatars.get(avatar_id)
    if caller.may("avatars", "rooms") and (avatar.is_default or caller.owns(avatar)):
        return avatar
    if caller.room is not None:
        call = await services.calls.get(caller.room)
        if call.avatar_id == avatar_id:
            return avatar
    raise not_found("avatar", avatar_id)


async def creating(caller: CallerDep, connection: HTTPConnection, services: ServicesDep) -> None:
    """Counts what costs work or space, for each key. Raises GatewayError 429."""
    if not services.settings.is_open:
        address = network_of(connection.client.host) if connection.client else ""
        services.creations.take(caller.owner or address)


AvatarsKey = Annotated[Caller, Depends(needs("avatars"))]
RoomsKey = Annotated[Caller, Depends(needs("rooms"))]
AvatarsOrRoomsKey = Annotated[Caller, Depends(needs("avatars", "rooms"))]
MetricsKey = Annotated[Caller, Depends(needs("metrics"))]
AdminKey = Annotated[Caller, Depends(needs("admin"))]
RoomCall = Annotated[Call, Depends(the_room)]
SeenAvatar = Annotated[Avatar, Depends(the_avatar)]
Counted = Depends(creating)
