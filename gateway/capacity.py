"""How many calls fit: computed from what engines and agent measure of themselves."""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from gateway.settings import GatewaySettings
from gateway.workers import Workers
from proto.messages import EngineStatus, Ping
from proto.wire.sockets import PeerBusy, request

FULL: Final = 0.9
"""Share of an engine's time that may be used; beyond it the Actor's calls begin to save work."""
SPEAKING_SHARE: Final = 0.5
"""Share of a call in which the avatar speaks, and the Thinker works at its factor."""
OVERLOADED_STEP: Final = 2
"""From this step of degradation on a running call is worse to look at: nobody else comes in."""
MANY: Final = 100_000
"""Places where nobody says how many there are."""


@dataclass(frozen=True)
class Load:
    """What was measured. Factors: work seconds per media second of one call; 0: not measured."""

    actor_factor: float = 0.0
    thinker_factor: float = 0.0
    degradation_step: int = 0
    places: int = MANY
    """Calls that all agents together may hold; 0: none takes any."""
    workers: int = 1
    """Agents with engines of their own, which are like those measured."""
    draining_calls: int = 0
    """Calls of agents that take no more; neither these nor their engines are counted above."""


def calls_that_fit(load: Load, taken: int) -> int:
    """How many calls the machines bear while `taken` run; at least one where an agent takes calls.

    The agents' places, as far as their engines have time for them; what was not measured yet is
    trusted.
    """
    if not load.places:
        return 0
    if load.degradation_step >= OVERLOADED_STEP:
        return max(1, taken)
    engines = min(
        FULL / load.actor_factor if load.actor_factor else MANY,
        FULL / (load.thinker_factor * SPEAKING_SHARE) if load.thinker_factor else MANY,
    )
    places = min(load.places, max(1, int(engines)) * load.workers)
    return places + load.draining_calls


class LoadMeter(Protocol):
    """Whoever knows the load."""

    @property
    def load(self) -> Load:
        """As last measured."""

    async def run(self) -> None:
        """Measure until cancelled."""


class EngineMeter:
    """Asks both engines and the agent, again and again; no caller waits for their answers."""

    def __init__(
        self, settings: GatewaySettings, http: httpx.AsyncClient, workers: Workers
    ) -> None:
        self.load = Load()
        self._settings = settings
        self._http = http
        self._workers = workers

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self.load = await self._look()
            await asyncio.sleep(self._settings.meter_interval_s)

    async def _look(self) -> Load:
        settings = self._settings
        actor, thinker, agents = await asyncio.gather(
            self._engine(settings.actor_endpoint, settings.actor_curve_server_key),
            self._engine(settings.thinker_endpoint, settings.thinker_curve_server_key),
            self._places(),
        )
        measured = settings.measured_capacity
        return Load(
            actor.real_time_factor if actor and measured else 0.0,
            thinker.real_time_factor if thinker and measured else 0.0,
            actor.degradation_step if actor and measured else 0,
            *agents,
        )

    async def _engine(self, endpoint: str, server_key: str) -> EngineStatus | None:
        """None where it does not answer, or is beside the agents elsewhere."""
        if not endpoint:
            return None
        curve = self._settings.curve_to(server_key)
        ping = Ping(session_id="gateway")
        try:
            answer = await request(endpoint, ping, self._settings.ready_timeout_s, curve)
        except (TimeoutError, PeerBusy):
            return None
        return answer if isinstance(answer, EngineStatus) else None

    async def _places(self) -> tuple[int, int, int]:
        """Of all workers, how many those are, and calls of those that drain: as they tell, else as
        the one that is asked says, and where it does not answer as before. MANY until anybody has:
        readiness says so then.
        """
        if told := self._workers.present:
            taking = [worker.max_calls for worker in told if worker.max_calls]
            return sum(taking), len(taking), sum(worker.draining_calls for worker in told)
        settings = self._settings
        try:
            answer = await self._http.get(
                settings.agent_health_url, timeout=settings.ready_timeout_s
            )
            return int(answer.json()["max_calls"]) * settings.workers, settings.workers, 0
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return self.load.places, self.load.workers, 0
