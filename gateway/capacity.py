"""How many calls fit: computed from what engines and agents measure of themselves."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from gateway.settings import GatewaySettings
from gateway.workers import Workers
from proto.messages import EngineStatus
from proto.wire.sockets import status_of
from services.room_agent.announcement import Announcement

FULL: Final = 0.9
"""Share of an engine's time that may be used; beyond it the Actor's calls begin to save work."""
SPEAKING_SHARE: Final = 0.5
"""Share of a call in which the avatar speaks, and the Thinker works at its factor."""
OVERLOADED_STEP: Final = 2
"""From this step of degradation on a running call is worse to look at: nobody else comes in."""
MANY: Final = 100_000
"""Places where nobody says how many there are."""


@dataclass(frozen=True)
class WorkerLoad:
    """What was measured of an agent worker and its engines.

    Factors: work seconds per media second of one call; 0: not measured.
    """

    places: int = MANY
    """Calls that it may hold; 0: it takes no more."""
    calls: int = 0
    """Those that it holds."""
    actor_factor: float = 0.0
    thinker_factor: float = 0.0
    degradation_step: int = 0

    @property
    def fit(self) -> int:
        """Calls that it bears: its places, as far as its engines have time for them.

        What was not measured yet is trusted.
        """
        if not self.places:
            return self.calls
        if self.degradation_step >= OVERLOADED_STEP:
            return max(1, self.calls)
        engines = min(
            FULL / self.actor_factor if self.actor_factor else MANY,
            FULL / (self.thinker_factor * SPEAKING_SHARE) if self.thinker_factor else MANY,
        )
        return min(self.places, max(1, int(engines)))


Load = tuple[WorkerLoad, ...]


def calls_that_fit(load: Load) -> int:
    """How many calls all workers bear; those of one that takes no more fill no other's place.

    0 where all drain: a worker may still hold a call whose record has ended.
    """
    if not any(worker.places for worker in load):
        return 0
    return sum(worker.fit for worker in load)


class LoadMeter(Protocol):
    """Whoever knows the load."""

    @property
    def load(self) -> Load:
        """As last measured."""

    async def run(self) -> None:
        """Measure until cancelled."""


class EngineMeter:
    """Takes what workers tell; where none does, asks the engines and the agent that it knows.

    Again and again: no caller waits for their answers.
    """

    def __init__(
        self, settings: GatewaySettings, http: httpx.AsyncClient, workers: Workers
    ) -> None:
        self.load: Load = (WorkerLoad(),)
        self._settings = settings
        self._http = http
        self._workers = workers

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            told = self._workers.present
            self.load = self._told(told) if told else await self._asked()
            await asyncio.sleep(self._settings.meter_interval_s)

    def _told(self, workers: Iterable[Announcement]) -> Load:
        if not self._settings.measured_capacity:
            return tuple(WorkerLoad(one.max_calls, one.calls) for one in workers)
        return tuple(
            WorkerLoad(
                one.max_calls,
                one.calls,
                one.actor_factor,
                one.thinker_factor,
                one.degradation_step,
            )
            for one in workers
        )

    async def _asked(self) -> Load:
        """All workers are like the one whose engines these are."""
        settings = self._settings
        actor, thinker, places = await asyncio.gather(
            self._engine(settings.actor_endpoint, settings.actor_curve_server_key),
            self._engine(settings.thinker_endpoint, settings.thinker_curve_server_key),
            self._places(),
        )
        measured = settings.measured_capacity
        worker = WorkerLoad(
            places,
            actor.sessions if actor else 0,
            actor.real_time_factor if actor and measured else 0.0,
            thinker.real_time_factor if thinker and measured else 0.0,
            actor.degradation_step if actor and measured else 0,
        )
        return (worker,) * settings.workers

    async def _engine(self, endpoint: str, server_key: str) -> EngineStatus | None:
        """None where it does not answer, or is beside the agents elsewhere."""
        curve = self._settings.curve_to(server_key)
        return await status_of(endpoint, self._settings.ready_timeout_s, curve)

    async def _places(self) -> int:
        """Of the agent that is asked; where it does not answer as before.

        MANY until it has: readiness says so then.
        """
        settings = self._settings
        try:
            answer = await self._http.get(
                settings.agent_health_url, timeout=settings.ready_timeout_s
            )
            return int(answer.json()["max_calls"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return max((worker.places for worker in self.load), default=MANY)
