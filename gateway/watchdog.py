"""Sees to it that each live call has an agent and that calls end when they should.

LiveKit never runs a dispatch that found no free worker, nor runs again a job whose worker crashed.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from livekit import api
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from gateway.calls import Calls
from gateway.errors import GatewayError
from gateway.lifelines import Agent
from gateway.livekit_rooms import Dispatch, Presence
from gateway.metrics import LIVE_CALLS, REDISPATCHES
from gateway.store.tables import Call
from gateway.workers import Workers
from services.room_agent.lifeline import AGAIN_S, OPEN_TIMEOUT_S

logger = logging.getLogger(__name__)
MAX_BACKOFF_DOUBLINGS = 1
TAKING_S = 0.3
"""A worker takes a dispatch within this time, or never."""
UNTAKEN_S = 1.0
"""After so long without an agent it is asked for again, unless a worker comes sooner."""
RETURN_S = OPEN_TIMEOUT_S + AGAIN_S + 0.5
"""Within this time after a start of ours each living agent holds its lifeline again."""
DEATH_S = 0.5
"""An agent whose lifeline broke but that lives is back within this time."""


@dataclass
class _Absence:
    """How long an agent has been missing since the last dispatch, and how often we asked again."""

    since_s: float
    tries: int = 0


@dataclass
class Watchdog:
    """Run by one task. The clock is a parameter for tests; it counts seconds, monotonically."""

    calls: Calls
    workers: Workers
    clock_s: Callable[[], float] = time.monotonic
    _absent: dict[str, _Absence] = field(default_factory=dict)
    _closed_s: dict[str, float] = field(default_factory=dict)
    """Since when the room of a call is gone."""
    _worker_came: bool = False

    async def run(self) -> None:
        """Look after all live calls until cancelled."""
        while True:
            try:
                await self.look()
                await self.close_remade()
            except (GatewayError, api.TwirpError, SQLAlchemyError) as error:
                logger.warning("watchdog could not look", extra={"reason": str(error)})
            with suppress(TimeoutError):
                async with asyncio.timeout(self.calls.settings.watchdog_interval_s):
                    await self.workers.came.wait()

    async def replace_the_dead(self) -> None:
        """Send another agent to each call whose agent's lifeline broke, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._find_the_dead())
            while True:
                tasks.create_task(self._replace(await self.calls.lifelines.broken.get()))

    async def _find_the_dead(self) -> None:
        """Once: agents that died while this process was not there, and had no lifeline to break."""
        lifelines = self.calls.lifelines
        try:
            live = await asyncio.to_thread(self.calls.store.live)
            await asyncio.sleep(RETURN_S)
            for call in live:
                for identity in (await self.calls.rooms.presence(call.room)).lifelines:
                    if not lifelines.lives(agent := Agent(call.room, identity)):
                        lifelines.broken.put_nowait(agent)
        except (GatewayError, api.TwirpError, SQLAlchemyError) as error:
            logger.warning("dead agents were not looked for", extra={"reason": str(error)})

    async def _replace(self, agent: Agent) -> None:
        await asyncio.sleep(DEATH_S)
        if self.calls.lifelines.lives(agent):
            return
        try:
            await self.calls.replace(agent)
            REDISPATCHES.inc()
        except (GatewayError, api.TwirpError, SQLAlchemyError) as error:
            logger.warning("a dead agent was not replaced", extra={"reason": str(error)})
        except Exception:
            logger.exception("a dead agent was not replaced", extra={"room": agent.room})

    async def look(self) -> None:
        """One round over the live calls."""
        self._worker_came = self.workers.came.is_set()
        self.workers.came.clear()
        live = await asyncio.to_thread(self.calls.store.live)
        LIVE_CALLS.set(len(live))
        for seen in (self._absent, self._closed_s):
            for room in seen.keys() - {call.room for call in live}:
                del seen[room]
        for call in live:
            try:
                await self._look_at(call)
            except (GatewayError, api.TwirpError, SQLAlchemyError, ValidationError) as error:
                told = {"room": call.room, "reason": str(error)}
                logger.warning("watchdog could not look at a call", extra=told)

    async def close_remade(self) -> None:
        """Close rooms that a token made again; a webhook tells sooner, where LiveKit reaches us."""
        for room in await self.calls.rooms.names():
            await self.calls.close_if_over(room)

    async def _look_at(self, call: Call) -> None:
        if call.expires_at <= datetime.now(UTC):
            await self.calls.end(call.room, "expired")
            return
        async with self.calls.deciding:
            await self._look_after(call, await self.calls.rooms.presence(call.room))

    async def _look_after(self, call: Call, presence: Presence) -> None:
        if not presence.exists:
            self._absent.pop(call.room, None)
            await self._miss_room(call)
            return
        self._closed_s.pop(call.room, None)
        await self._note(call, presence)
        if presence.agents:
            self._absent.pop(call.room, None)
        elif self.calls.lifelines.someone_lives(call.room):
            self._absent.pop(call.room, None)  # it comes back by itself
        elif presence.callers or call.state == "created":
            await self._miss_agent(call)

    async def _miss_room(self, call: Call) -> None:
        """A caller's token makes a room again: one that nobody came to, or that LiveKit lost."""
        since_s = self._closed_s.setdefault(call.room, self.clock_s())
        gone_s = self.clock_s() - since_s
        if call.state == "active" and gone_s > self.calls.settings.room_timeout_s:
            await asyncio.to_thread(self.calls.store.end, call.room, "left")

    async def _note(self, call: Call, presence: Presence) -> None:
        """Webhooks say this sooner; where LiveKit cannot reach us, looking is all there is."""
        if presence.callers and call.state == "created":
            await asyncio.to_thread(self.calls.store.activate, call.room)
        if presence.agents and call.agent_joined_at is None:
            await self.calls.agent_joined(call.room)

    async def _miss_agent(self, call: Call) -> None:
        absence = self._absent.setdefault(call.room, _Absence(self.clock_s()))
        dispatch = await self.calls.rooms.dispatch(call.room)
        if self.clock_s() - absence.since_s < self._patience_s(dispatch, absence.tries):
            return
        logger.warning("no agent came, asking again", extra={"room": call.room})
        await self.calls.dispatch_again(call)
        REDISPATCHES.inc()
        absence.since_s = self.clock_s()
        if dispatch is Dispatch.TAKEN:
            absence.tries = min(absence.tries + 1, MAX_BACKOFF_DOUBLINGS)

    def _patience_s(self, dispatch: Dispatch, tries: int) -> float:
        match dispatch:
            case Dispatch.NONE:
                return 0.0
            case Dispatch.UNTAKEN:
                return TAKING_S if self._worker_came else UNTAKEN_S
            case Dispatch.TAKEN:
                return self.calls.settings.agent_timeout_s * 2.0**tries
