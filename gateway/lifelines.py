"""Which calls have a living agent: each holds a connection, and the kernel closes a dead one's."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Agent:
    """One agent in one room, under the name that LiveKit knows."""

    room: str
    identity: str


@dataclass
class Lifelines:
    """Held by the route, looked at by the watchdog. `broken`: agents to be looked after."""

    broken: asyncio.Queue[Agent] = field(default_factory=asyncio.Queue)
    _held: Counter[Agent] = field(default_factory=Counter)

    @contextmanager
    def held(self, agent: Agent) -> Iterator[None]:
        """The connection of this agent is open."""
        self._held[agent] += 1
        try:
            yield
        finally:
            self._held[agent] -= 1
            if not self._held[agent]:
                del self._held[agent]

    def lives(self, agent: Agent) -> bool:
        """Whether this agent is connected."""
        return agent in self._held

    def someone_lives(self, room: str) -> bool:
        """Whether any agent of this room is."""
        return any(agent.room == room for agent in self._held)
