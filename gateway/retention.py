"""How long things are kept, and how they go: when they are old, or at once when somebody asks."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from livekit import api
from sqlalchemy.exc import SQLAlchemyError

from gateway.avatars import Avatars
from gateway.calls import Calls
from gateway.errors import GatewayError
from gateway.latency import Latency
from gateway.settings import GatewaySettings
from gateway.store.database import Database

logger = logging.getLogger(__name__)
EVERY_S = 600.0
STRAY_AFTER = timedelta(hours=1)
"""A picture without a record may be one that is being saved; after so long it is none."""


@dataclass(frozen=True)
class Retention:
    """Deletes across the database, the disk, LiveKit's rooms and the memory of this process."""

    settings: GatewaySettings
    database: Database
    avatars: Avatars
    calls: Calls
    latency: Latency

    async def forget_avatar(self, avatar_id: str) -> None:
        """An uploaded avatar with its pictures, and its calls, which end, with all their records.

        Raises GatewayError 404, 409 for a default avatar, or 503 when LiveKit cannot end its live
        calls; then nothing was deleted.
        """
        avatar = await self.avatars.get(avatar_id)
        if avatar.is_default:
            raise GatewayError(
                409,
                "default_avatar",
                f"{avatar.name} is a default avatar and cannot be deleted",
                "Only avatars made from uploaded portraits can be deleted.",
            )
        closed: set[str] = set()
        while (rooms := await self._close_and_remove(avatar_id, closed)) is None:
            continue  # a call was opened meanwhile
        for room in rooms:
            self.latency.forget(room)
        await asyncio.to_thread(self.database.scrub)

    async def _close_and_remove(self, avatar_id: str, closed: set[str]) -> list[str] | None:
        for call in await asyncio.to_thread(self.calls.store.live):
            if call.avatar_id == avatar_id:
                await self.calls.rooms.delete(call.room)
                closed.add(call.room)
        return await asyncio.to_thread(self.avatars.remove, avatar_id, closed)

    async def forget_call(self, room: str) -> None:
        """A call, which ends, with its record and turns. Raises GatewayError 404, 503."""
        call = await self.calls.get(room)
        if call.state != "ended":
            await self.calls.rooms.delete(room)
        await asyncio.to_thread(self.calls.store.remove, room)
        self.latency.forget(room)
        await asyncio.to_thread(self.database.scrub)

    async def run(self) -> None:
        """Forget what is old now and then, until cancelled."""
        while True:
            try:
                await self.forget_old(datetime.now(UTC))
            except (GatewayError, api.TwirpError, SQLAlchemyError, OSError) as error:
                logger.warning("old things could not be forgotten", extra={"reason": str(error)})
            await asyncio.sleep(EVERY_S)

    async def forget_old(self, now: datetime) -> None:
        """One round: turns, ended calls, portraits that nobody calls, pictures without a record."""
        settings = self.settings
        oldest_turn = now - timedelta(days=settings.turn_days)
        turns = await asyncio.to_thread(self.latency.store.forget, oldest_turn, settings.max_turns)
        oldest_call = now - timedelta(days=settings.call_days)
        calls = await asyncio.to_thread(self.calls.store.forget, oldest_call)
        unused = await self._forget_unused(now)
        strays = await asyncio.to_thread(self.avatars.remove_strays, now - STRAY_AFTER)
        # Always: a deletion since the last round may have found the log in use.
        await asyncio.to_thread(self.database.scrub)
        if turns or calls or unused or strays:
            gone = {"turns": turns, "calls": calls, "avatars": unused, "pictures": strays}
            logger.info("forgot what was old", extra=gone)

    async def _forget_unused(self, now: datetime) -> int:
        if self.settings.portrait_days is None:
            return 0
        oldest = now - timedelta(days=self.settings.portrait_days)
        forgotten = 0
        # Looked up anew after each: somebody may call an avatar of the list meanwhile.
        while unused := await asyncio.to_thread(self.avatars.store.unused_since, oldest):
            await self.forget_avatar(unused[0])
            forgotten += 1
        return forgotten
