"""LiveKit's rooms and dispatches, seen through the few operations that calls need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import aiohttp
from livekit import api

from gateway.errors import GatewayError, unavailable
from gateway.settings import GatewaySettings
from services.room_agent.lifeline import HOLDS_ONE

MAX_PARTICIPANTS = 4


@dataclass(frozen=True)
class Presence:
    """Who is in a room now; `exists` is False once the server has closed it."""

    exists: bool
    agents: int = 0
    callers: int = 0
    lifelines: frozenset[str] = frozenset()
    """Agents that hold one while they live, by identity."""


class Dispatch(Enum):
    """What became of asking for an agent. LiveKit never runs one that found no free worker."""

    NONE = "none"
    UNTAKEN = "untaken"
    TAKEN = "taken"


class RoomServer(Protocol):
    """Every method raises GatewayError 503 when LiveKit does not answer."""

    async def create(self, room: str, config: api.RoomConfiguration) -> None: ...

    async def names(self) -> set[str]: ...

    async def presence(self, room: str) -> Presence: ...

    async def dispatch(self, room: str) -> Dispatch: ...

    async def dispatch_again(self, room: str, agent: api.RoomAgentDispatch) -> None: ...

    async def tell(self, room: str, metadata: str) -> None: ...

    async def remove(self, room: str, identity: str) -> None: ...

    async def delete(self, room: str) -> None: ...

    async def ping(self) -> None: ...


class LiveKitRooms:
    """RoomServer over LiveKit's own API."""

    def __init__(self, client: api.LiveKitAPI) -> None:
        self._client = client

    async def create(self, room: str, config: api.RoomConfiguration) -> None:
        """Make the room and ask for its agent in one request, before any caller is there."""
        request = api.CreateRoomRequest(
            name=room,
            empty_timeout=config.empty_timeout,
            departure_timeout=config.departure_timeout,
            max_participants=config.max_participants,
            sync_streams=config.sync_streams,
            min_playout_delay=config.min_playout_delay,
            max_playout_delay=config.max_playout_delay,
            agents=config.agents,
        )
        async with _answering():
            await self._client.room.create_room(request)

    async def names(self) -> set[str]:
        """All rooms that are there now."""
        async with _answering():
            found = await self._client.room.list_rooms(api.ListRoomsRequest())
        return {room.name for room in found.rooms}

    async def presence(self, room: str) -> Presence:
        try:
            return await self._presence(room)
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:
                raise
            return Presence(exists=False)  # it closed between the two questions

    async def _presence(self, room: str) -> Presence:
        async with _answering():
            rooms = await self._client.room.list_rooms(api.ListRoomsRequest(names=[room]))
            if not rooms.rooms:
                return Presence(exists=False)
            found = await self._client.room.list_participants(
                api.ListParticipantsRequest(room=room)
            )
        kinds = [participant.kind for participant in found.participants]
        agents = kinds.count(api.ParticipantInfo.Kind.AGENT)
        callers = kinds.count(api.ParticipantInfo.Kind.STANDARD)
        lifelines = frozenset(
            participant.identity
            for participant in found.participants
            if participant.kind == api.ParticipantInfo.Kind.AGENT
            and HOLDS_ONE in participant.attributes
        )
        return Presence(True, agents, callers, lifelines)

    async def dispatch(self, room: str) -> Dispatch:
        """Whether an agent was asked for since the room was made, and whether a worker took it."""
        async with _answering():
            found = await self._client.agent_dispatch.list_dispatch(room)
        if not found:
            return Dispatch.NONE
        taken = any(dispatch.state.jobs for dispatch in found)
        return Dispatch.TAKEN if taken else Dispatch.UNTAKEN

    async def dispatch_again(self, room: str, agent: api.RoomAgentDispatch) -> None:
        """Drop the dispatches that never ran or whose agent is gone, and make a new one."""
        dispatches = self._client.agent_dispatch
        async with _answering():
            for old in await dispatches.list_dispatch(room):
                await dispatches.delete_dispatch(old.id, room)
            await dispatches.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=agent.agent_name, room=room, metadata=agent.metadata
                )
            )

    async def tell(self, room: str, metadata: str) -> None:
        """Tell all who are in a room, or come later; one that is not there is fine."""
        told = api.UpdateRoomMetadataRequest(room=room, metadata=metadata)
        try:
            async with _answering():
                await self._client.room.update_room_metadata(told)
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:
                raise

    async def remove(self, room: str, identity: str) -> None:
        """Send one participant out; one that is not there is fine."""
        who = api.RoomParticipantIdentity(room=room, identity=identity)
        try:
            async with _answering():
                await self._client.room.remove_participant(who)
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:
                raise

    async def delete(self, room: str) -> None:
        """Close the room and send everyone out; a room that is gone already is fine."""
        try:
            async with _answering():
                await self._client.room.delete_room(api.DeleteRoomRequest(room=room))
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:
                raise

    async def ping(self) -> None:
        async with _answering():
            await self._client.room.list_rooms(api.ListRoomsRequest(names=["-"]))


@asynccontextmanager
async def livekit_rooms(settings: GatewaySettings) -> AsyncIterator[LiveKitRooms]:
    """LiveKit's API as long as the context lasts."""
    client = api.LiveKitAPI(
        settings.livekit_url,
        settings.livekit_api_key,
        settings.livekit_api_secret.get_secret_value(),
        timeout=aiohttp.ClientTimeout(total=settings.livekit_timeout_s),
        failover=False,
    )
    try:
        yield LiveKitRooms(client)
    finally:
        await client.aclose()


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Turns "no answer" and "wrong key" into a problem that names what to do."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError):
        raise unavailable(
            "livekit_unavailable",
            "The LiveKit server does not answer",
            "Look at /readyz and the LiveKit server's log, then try again.",
        ) from None
    except api.TwirpError as error:
        if error.code in (api.TwirpErrorCode.UNAUTHENTICATED, api.TwirpErrorCode.PERMISSION_DENIED):
            raise GatewayError(
                503,
                "livekit_refused",
                "The LiveKit server refused the gateway's key",
                "Give the gateway and LiveKit the same API key and secret.",
            ) from None
        raise
