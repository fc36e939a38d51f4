"""Asks every part that a call needs whether it is ready."""

import asyncio
from dataclasses import dataclass

import httpx
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError
from gateway.livekit_rooms import RoomServer
from gateway.schemas import PartStatus, Readiness
from gateway.settings import GatewaySettings
from gateway.store.database import Database
from proto.messages import EngineStatus, Failure, Ping
from proto.wire.sockets import PeerBusy, request


@dataclass(frozen=True)
class ReadinessProbe:
    """All parts are asked at once, each within the same time limit."""

    settings: GatewaySettings
    database: Database
    rooms: RoomServer
    http: httpx.AsyncClient

    async def look(self) -> Readiness:
        """The state of every part, by name."""
        settings = self.settings
        probes = {
            "database": self._database(),
            "livekit": self._livekit(),
            "actor": self._engine(settings.actor_endpoint, settings.actor_curve_server_key),
        }
        if settings.thinker_endpoint:
            probes["thinker"] = self._engine(
                settings.thinker_endpoint, settings.thinker_curve_server_key
            )
        if settings.agent_health_url:
            probes["agent_worker"] = self._agent_worker()
        parts = dict(zip(probes, await asyncio.gather(*probes.values()), strict=True))
        not_ready = [name for name, part in parts.items() if not part.ready]
        return Readiness(ready=not not_ready, not_ready=not_ready, parts=parts)

    async def _database(self) -> PartStatus:
        try:
            async with asyncio.timeout(self.settings.ready_timeout_s):
                await asyncio.to_thread(self.database.ping)
        except (TimeoutError, SQLAlchemyError) as error:
            return PartStatus(ready=False, detail=f"does not answer ({type(error).__name__})")
        return PartStatus(ready=True, detail=self.database.engine.dialect.name)

    async def _livekit(self) -> PartStatus:
        try:
            async with asyncio.timeout(self.settings.ready_timeout_s):
                await self.rooms.ping()
        except TimeoutError:
            return PartStatus(ready=False, detail="does not answer")
        except GatewayError as error:
            return PartStatus(ready=False, detail=error.problem.title)
        return PartStatus(ready=True, detail="answers")

    async def _engine(self, endpoint: str, server_key: str) -> PartStatus:
        ping = Ping(session_id="gateway")
        curve = self.settings.curve_to(server_key)
        try:
            answer = await request(endpoint, ping, self.settings.ready_timeout_s, curve)
        except (TimeoutError, PeerBusy):
            return PartStatus(ready=False, detail="does not answer yet")
        if isinstance(answer, EngineStatus):
            detail = f"real-time factor {answer.real_time_factor:.2f}, {answer.sessions} sessions"
            return PartStatus(ready=True, detail=detail, labels=dict(answer.labels))
        reason = answer.message if isinstance(answer, Failure) else type(answer).__name__
        return PartStatus(ready=False, detail=reason)

    async def _agent_worker(self) -> PartStatus:
        try:
            answer = await self.http.get(
                self.settings.agent_health_url, timeout=self.settings.ready_timeout_s
            )
        except httpx.HTTPError:
            return PartStatus(ready=False, detail="does not answer yet")
        detail = answer.text.strip()[:200] or f"HTTP {answer.status_code}"
        return PartStatus(ready=answer.is_success, detail=detail)
