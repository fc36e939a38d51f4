"""How many calls fit: computed from what engines and agent measure of themselves."""

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from gateway.settings import GatewaySettings
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
    """Calls that the agent may hold."""


def calls_that_fit(load: Load, taken: int, workers: int = 1) -> int:
    """How many calls the machine bears while `taken` run; at least one.

    The agent's places, as far as the engines have time for them; what was not measured yet is
    trusted. `workers`: agents with engines of their own that are like those measured.
    """
    if load.degradation_step >= OVERLOADED_STEP:
        return max(1, taken)
    limits = [
        float(load.places),
        FULL / load.actor_factor if load.actor_factor else math.inf,
        FULL / (load.thinker_factor * SPEAKING_SHARE) if load.thinker_factor else math.inf,
    ]
    return max(1, int(min(limits))) * workers


class LoadMeter(Protocol):
    """Whoever knows the load."""

    @property
    def load(self) -> Load:
        """As last measured."""

    async def run(self) -> None:
        """Measure until cancelled."""


class EngineMeter:
    """Asks both engines and the agent, again and again; no caller waits for their answers."""

    def __init__(self, settings: GatewaySettings, http: httpx.AsyncClient) -> None:
        self.load = Load()
        self._settings = settings
        self._http = http

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self.load = await self._look()
            await asyncio.sleep(self._settings.meter_interval_s)

    async def _look(self) -> Load:
        settings = self._settings
        actor, thinker, places = await asyncio.gather(
            self._engine(settings.actor_endpoint, settings.actor_curve_server_key),
            self._engine(settings.thinker_endpoint, settings.thinker_curve_server_key),
            self._places(),
        )
        measured = settings.measured_capacity
        return Load(
            actor.real_time_factor if actor and measured else 0.0,
            thinker.real_time_factor if thinker and measured else 0.0,
            actor.degradation_step if actor and measured else 0,
            places,
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

    async def _places(self) -> int:
        """MANY where the agent does not answer: then readiness says so, not admission."""
        try:
            answer = await self._http.get(
                self._settings.agent_health_url, timeout=self._settings.ready_timeout_s
            )
            return int(answer.json()["max_calls"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return MANY
