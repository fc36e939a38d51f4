"""The two engines of one call, and what is said when their sessions open."""

from typing import Protocol

import numpy as np

from proto.message import Message
from proto.messages import HistoryTurn, OpenActorSession, OpenThinkerSession
from services.room_agent.config import AgentConfig
from services.room_agent.engine_link import EngineLink, EnginePort, LinkState
from services.room_agent.job import CallJob


class SessionMemory(Protocol):
    """What a session that is opened anew must know."""

    @property
    def epoch(self) -> int: ...

    @property
    def history(self) -> list[HistoryTurn]: ...


class EngineEvents(Protocol):
    """What the engines tell the agent."""

    def thinker_said(self, message: Message) -> None: ...

    def actor_said(self, message: Message) -> None: ...

    def thinker_state(self, state: LinkState) -> None: ...

    def actor_state(self, state: LinkState) -> None: ...


class Line(Protocol):
    """The line to one engine; an EngineLink is one."""

    def send(self, message: Message) -> None: ...

    def lose(self, reason: str) -> None: ...

    async def run(self) -> None: ...


class Engines(Protocol):
    """The lines to the Thinker and the Actor."""

    @property
    def thinker(self) -> Line: ...

    @property
    def actor(self) -> Line: ...


class ZmqEngines:
    """Engines behind the endpoints of the configuration."""

    def __init__(
        self,
        config: AgentConfig,
        job: CallJob,
        portrait: np.ndarray,
        memory: SessionMemory,
        events: EngineEvents,
    ) -> None:
        self._config = config
        self._job = job
        self._portrait = portrait
        self._memory = memory
        self.thinker = EngineLink(
            self._port("thinker", config.thinker_endpoint, config.thinker_curve_server_key),
            job.call_id,
            self._open_thinker,
            events.thinker_said,
            events.thinker_state,
        )
        self.actor = EngineLink(
            self._port("actor", config.actor_endpoint, config.actor_curve_server_key),
            job.call_id,
            self._open_actor,
            events.actor_said,
            events.actor_state,
        )

    def _port(self, name: str, endpoint: str, server_key: str) -> EnginePort:
        config = self._config
        return EnginePort(name, endpoint, config.curve_to(server_key), config.engine_silence_s)

    def _open_thinker(self) -> OpenThinkerSession:
        avatar = self._job.avatar
        return OpenThinkerSession(
            session_id=self._job.call_id,
            epoch=self._memory.epoch,
            name=avatar.name,
            persona=avatar.persona,
            voice=avatar.voice,
            language=avatar.language,
            history=tuple(self._memory.history),
            actor_endpoint=self._config.thinker_actor_endpoint or self._config.actor_endpoint,
        )

    def _open_actor(self) -> OpenActorSession:
        return OpenActorSession(
            session_id=self._job.call_id,
            epoch=self._memory.epoch,
            portrait=self._portrait,
        )
