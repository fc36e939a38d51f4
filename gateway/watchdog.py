"""Sees to it that each live call has an agent and that calls end when they should.

LiveKit never runs a dispatch that found no free worker, nor runs again a job whose worker crashed.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from livekit import api
from sqlalchemy.exc import SQLAlchemyError

from gateway.calls import Calls
from gateway.errors import GatewayError
from gateway.livekit_rooms import Presence
from gateway.metrics import LIVE_CALLS, REDISPATCHES
from gateway.store.tables import Call

logger = logging.getLogger(__name__)
MAX_BACKOFF_DOUBLINGS = 1


@dataclass
class _Absence:
    """How long an agent has been missing since the last dispatch, and how often we asked again."""

    since_s: float
    tries: int = 0


@dataclass
class Watchdog:
    """Run by one task. The clock is a parameter for tests; it counts seconds, monotonically."""

    calls: Calls
    clock_s: Callable[[], float] = time.monotonic
    _absent: dict[str, _Absence] = field(default_factory=dict)

    async def run(self) -> None:
        """Look after all live calls until cancelled."""
        while True:
            try:
                await self.look()
            except (GatewayError, api.TwirpError, SQLAlchemyError) as error:
                logger.warning("watchdog could not look", extra={"reason": str(error)})
            await asyncio.sleep(self.calls.settings.watchdog_interval_s)

    async def look(self) -> None:
        """One round over the live calls."""
        live = await asyncio.to_thread(self.calls.store.live)
        LIVE_CALLS.set(len(live))
        for room in self._absent.keys() - {call.room for call in live}:
            del self._absent[room]
        for call in live:
            if call.expires_at <= datetime.now(UTC):
                await self.calls.end(call.room, "expired")
            else:
                await self._look_after(call, await self.calls.rooms.presence(call.room))

    async def _look_after(self, call: Call, presence: Presence) -> None:
        if not presence.exists:
            # A room that nobody came to closes early; a caller's token makes it again.
            if call.state == "active":
                await asyncio.to_thread(self.calls.store.end, call.room, "left")
            self._absent.pop(call.room, None)
            return
        await self._note(call, presence)
        if presence.agents:
            self._absent.pop(call.room, None)
        elif presence.callers or call.state == "created":
            await self._miss_agent(call)

    async def _note(self, call: Call, presence: Presence) -> None:
        """Webhooks say this sooner; where LiveKit cannot reach us, looking is all there is."""
        if presence.callers and call.state == "created":
            await asyncio.to_thread(self.calls.store.activate, call.room)
        if presence.agents and call.agent_joined_at is None:
            await self.calls.agent_joined(call.room)

    async def _miss_agent(self, call: Call) -> None:
        absence = self._absent.setdefault(call.room, _Absence(self.clock_s()))
        patience_s = self.calls.settings.agent_timeout_s * 2**absence.tries
        waited_s = self.clock_s() - absence.since_s
        if waited_s < patience_s and await self.calls.rooms.has_dispatch(call.room):
            return
        logger.warning("no agent came, asking again", extra={"room": call.room})
        await self.calls.dispatch_again(call)
        REDISPATCHES.inc()
        absence.since_s = self.clock_s()
        absence.tries = min(absence.tries + 1, MAX_BACKOFF_DOUBLINGS)
