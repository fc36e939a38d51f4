"""The life of a call: a room with its agent on the way, tokens for callers, the end."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from livekit import api

from gateway.errors import GatewayError, not_found
from gateway.lifelines import Agent, Lifelines
from gateway.livekit_rooms import MAX_PARTICIPANTS, Dispatch, RoomServer
from gateway.metrics import AGENT_JOIN_SECONDS, ROOMS
from gateway.portraits import PortraitFiles
from gateway.settings import GatewaySettings
from gateway.store.calls import CallStore
from gateway.store.tables import Avatar, Call
from gateway.tokens import ROOM_PREFIX, caller_token, new_room_name
from proto.messages import Mood
from services.room_agent.conversation import Conversation
from services.room_agent.job import AvatarJob, CallJob, RoomState

PLAYOUT_DELAY_MS = (80, 250)
"""Bounds of how long browsers hold the picture, decision 18: about what they hold the sound, and
what a lost packet over the widest network takes to come again.
"""


@dataclass(frozen=True)
class Calls:
    """Opens and ends calls, keeping LiveKit and the records in step."""

    settings: GatewaySettings
    store: CallStore
    portraits: PortraitFiles
    rooms: RoomServer
    lifelines: Lifelines
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from looking whether an agent is needed until it was asked for: else two would come."""

    async def open(
        self,
        avatar: Avatar,
        owner: str | None,
        transcript: bool | None = None,
        mood: Mood | None = None,
    ) -> tuple[Call, str]:
        """A new call and its caller's token. The agent is asked for at once.

        `transcript`: whether there are captions; None: as the settings say. `mood`: the face's own.

        The record comes first: LiveKit's webhooks about the room may arrive before it answers.
        """
        room, kept = new_room_name(), self.settings.transcript if transcript is None else transcript
        job = self._job(room, avatar, kept).model_copy(update={"mood": mood})
        call = self._new_call(avatar, owner, job)
        if not await asyncio.to_thread(self.store.add, call):
            raise not_found("avatar", avatar.id)
        try:
            await self.rooms.create(call.room, self._room_configuration(self._agent(call)))
        except (GatewayError, api.TwirpError):
            await asyncio.to_thread(self.store.end, call.room, "not_created")
            raise
        if await asyncio.to_thread(self.store.get, call.room) is None:
            await self.rooms.delete(call.room)  # deleted with its avatar before it had a room
            raise not_found("avatar", avatar.id)
        ROOMS.inc()
        secret = self.settings.livekit_api_secret.get_secret_value()
        credentials = (self.settings.livekit_api_key, secret)
        # Callers can read their token, so it carries no dispatch metadata.
        token = caller_token(credentials, call.room, call.expires_at, self._room_configuration())
        return call, token

    async def get(self, room: str) -> Call:
        """Raises GatewayError 404."""
        call = await asyncio.to_thread(self.store.get, room)
        if call is None:
            raise not_found("room", room)
        return call

    async def set_mood(self, call: Call, mood: Mood) -> None:
        """Change a face's own mood; the agent that is there hears of it, and one that comes later.

        Raises GatewayError 409 for a call that is over, 503 when LiveKit does not answer: the mood
        is kept then, and the same request may be sent again.
        """
        job = CallJob.from_metadata(call.job).model_copy(update={"mood": mood})
        if not await asyncio.to_thread(self.store.tell, call.room, job.to_metadata()):
            raise GatewayError(409, "call_ended", "The call is over", "Open a new room.")
        await self.rooms.tell(call.room, RoomState(mood=mood).to_metadata())

    async def end(self, room: str, reason: str) -> None:
        """Send everyone out of the room and close its record, which the watchdog needs until then.

        Raises GatewayError 503 when LiveKit does not answer; the call is still on then.
        """
        await asyncio.to_thread(self.store.ending, room, reason)
        try:
            await self.rooms.delete(room)
        except (GatewayError, api.TwirpError):
            await asyncio.to_thread(self.store.not_ending, room)
            raise
        await asyncio.to_thread(self.store.end, room, reason)

    async def close_if_over(self, room: str) -> None:
        """A token outlives its call and may make the room again: close what ended or was deleted.

        The record of a call is there before its room: a room of ours without one was deleted.
        """
        call = await asyncio.to_thread(self.store.get, room)
        over = room.startswith(ROOM_PREFIX) if call is None else call.state == "ended"
        if over:
            await self.rooms.delete(room)

    async def caller_joined(self, room: str) -> None:
        """A room that closed before its caller came was made again by the token, without agent."""
        await asyncio.to_thread(self.store.caller_joined, room)
        call = await asyncio.to_thread(self.store.get, room)
        if call is None or call.state == "ended" or self.lifelines.someone_lives(room):
            return
        async with self.deciding:
            if await self.rooms.dispatch(room) is Dispatch.NONE:
                await self.dispatch_again(call)

    async def agent_joined(self, room: str) -> None:
        """The agent is there; whoever notices first, by webhook or by looking, times it."""
        call = await asyncio.to_thread(self.store.agent_joined, room)
        if call is not None and call.agent_joined_at is not None:
            waited = call.agent_joined_at - call.created_at
            AGENT_JOIN_SECONDS.observe(waited.total_seconds())

    async def remember(self, room: str, conversation: Conversation) -> None:
        """Keep what was said until the call ends: whoever takes over must know it."""
        await asyncio.to_thread(self.store.remember, room, conversation.model_dump_json())

    async def replace(self, dead: Agent) -> None:
        """LiveKit would hold a dead agent's place for 20 s: free it, and ask for another one."""
        call = await asyncio.to_thread(self.store.get, dead.room)
        if call is None or call.state == "ended":
            return
        async with self.deciding:
            await self.rooms.remove(dead.room, dead.identity)
            if (await self.rooms.presence(dead.room)).callers:
                await self.dispatch_again(call)

    async def dispatch_again(self, call: Call) -> None:
        """Ask for a new agent; any earlier dispatch is void."""
        await self.rooms.dispatch_again(call.room, self._agent(call))
        await asyncio.to_thread(self.store.dispatched, call.room)

    def _room_configuration(self, *agents: api.RoomAgentDispatch) -> api.RoomConfiguration:
        """Without sync_streams browsers do not keep lips and voice together.

        And without a bound a browser that was starved once holds the picture half a second late.
        """
        return api.RoomConfiguration(
            empty_timeout=self.settings.empty_timeout_s,
            departure_timeout=self.settings.departure_timeout_s,
            max_participants=MAX_PARTICIPANTS,
            sync_streams=True,
            min_playout_delay=PLAYOUT_DELAY_MS[0],
            max_playout_delay=PLAYOUT_DELAY_MS[1],
            agents=agents,
        )

    def _agent(self, call: Call) -> api.RoomAgentDispatch:
        job = CallJob.from_metadata(call.job)
        if call.agent_joined_at is not None:
            kept = call.conversation
            earlier = Conversation.model_validate_json(kept) if kept else Conversation()
            job = job.model_copy(update={"conversation": earlier})
        name = self.settings.agent_name
        return api.RoomAgentDispatch(agent_name=name, metadata=job.to_metadata())

    def _new_call(self, avatar: Avatar, owner: str | None, job: CallJob) -> Call:
        now = datetime.now(UTC)
        return Call(
            room=job.call_id,
            avatar_id=avatar.id,
            avatar_name=avatar.name,
            job=job.to_metadata(),
            owner=owner,
            state="created",
            end_reason=None,
            created_at=now,
            expires_at=now + timedelta(seconds=self.settings.room_ttl_s),
            callers=0,
            dispatches=1,
        )

    def _job(self, room: str, avatar: Avatar, transcript: bool) -> CallJob:
        path = self.portraits.best(avatar.id)
        if path is None:
            raise not_found("portrait", avatar.id)
        shared = self.settings.agent_shares_disk
        url = f"{self.settings.internal_url}/api/avatars/{avatar.id}/portrait"
        return CallJob(
            call_id=room,
            avatar=AvatarJob(
                id=avatar.id,
                name=avatar.name,
                persona=avatar.persona,
                voice=avatar.voice,
                language=self.settings.language,
            ),
            portrait_path=str(path) if shared else None,
            portrait_url=None if shared else url,
            transcript=transcript,
        )
