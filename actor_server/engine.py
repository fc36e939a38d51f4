"""All sessions of one rendering thread: open, deliver, step, close. Synchronous, no clock inside.

Whoever owns an engine calls it from one thread and passes the time in; `now_us` is any monotonic
clock in microseconds. For traces alone it may be given that clock itself.
"""

import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from actor_server.errors import SessionExists, SessionLimit
from actor_server.face import Face
from actor_server.motion.source import MotionSource
from actor_server.relief import Relief
from actor_server.saving import Saving, share
from actor_server.session import ActorSession, Pacing
from proto.message import Message
from proto.messages import AVChunk
from proto.time_law import CHUNK_US

LOAD_WINDOW_CHUNKS: Final = 32


@dataclass(frozen=True)
class EngineLoad:
    """A snapshot that other threads may read."""

    sessions: int = 0
    queue_depth: int = 0
    """Granted chunks that are not made yet, over all sessions."""
    real_time_factor: float = 0.0
    """Work time per media time of one call, over the last chunks; 0 before the first."""
    last_work_us: int = 0
    saving: tuple[Saving, ...] = ()
    """How much work each call saves, because all of it did not fit the time."""

    @property
    def degradation(self) -> Saving:
        """Of the call that saves most."""
        return max(self.saving, default=Saving.NOTHING)


@dataclass(frozen=True)
class Turn:
    """Whose chunk comes next, and when it may be made."""

    session_id: str
    at_us: int


class ActorEngine:
    """Renders the calls of one thread, the one with the earliest deadline first."""

    def __init__(
        self,
        source: MotionSource,
        pacing: Pacing,
        max_sessions: int,
        clock_us: Callable[[], int] | None = None,
        savings: Iterable[Saving] = (),
    ) -> None:
        """`savings`: the steps by which painters save work, besides those of the motion."""
        self._source = source
        self._clock_us = clock_us
        self._pacing = pacing
        self._max_sessions = max_sessions
        self._sessions: dict[str, ActorSession] = {}
        self._ladder = (Saving.NOTHING, *sorted({*source.savings, *savings}))
        self._relief = self._no_relief()
        self._work_us: deque[int] = deque(maxlen=LOAD_WINDOW_CHUNKS)
        self._unfinished_us: dict[str, int] = {}
        """Work already done for the chunk that each session makes."""

    def load(self) -> EngineLoad:
        """How busy this engine is."""
        work = self._work_us
        return EngineLoad(
            sessions=len(self._sessions),
            queue_depth=sum(session.credit for session in self._sessions.values()),
            real_time_factor=sum(work) / (len(work) * CHUNK_US) if work else 0.0,
            last_work_us=work[-1] if work else 0,
            saving=tuple(session.saving for session in self._sessions.values()),
        )

    def open(self, session_id: str, face: Face, seed: int, epoch: int = 0) -> None:
        """Begin a session. Raises SessionLimit or SessionExists."""
        if session_id in self._sessions:
            raise SessionExists(f"session {session_id} is open already")
        if len(self._sessions) >= self._max_sessions:
            raise SessionLimit(
                f"all {self._max_sessions} sessions are taken: try again later, or raise "
                "max_sessions in [actor]"
            )
        # calls that chose no seed shall not all nod and blink alike
        own_seed = seed ^ zlib.crc32(session_id.encode())
        self._sessions[session_id] = ActorSession(
            session_id,
            face,
            self._source,
            own_seed,
            self._pacing,
            epoch,
            self._clock_us,
        )

    def close(self, session_id: str) -> None:
        """Free a session; unknown ones are gone already."""
        self._unfinished_us.pop(session_id, None)
        if (session := self._sessions.pop(session_id, None)) is not None:
            session.close()
        if not self._sessions:
            self._relief = self._no_relief()  # the next call shall not pay for those that are over

    def _no_relief(self) -> Relief:
        return Relief(len(self._ladder) - 1)

    def deliver(self, session_id: str, message: Message, now_us: int) -> None:
        """Give a message to its session; nothing happens when the session is gone."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.deliver(message, now_us)

    def next_turn(self, now_us: int) -> Turn | None:
        """The most urgent session of those that may go now, else the one that may go soonest."""
        waiting = [
            (max(due_us, now_us), session.deadline_us(), session.session_id)
            for session in self._sessions.values()
            if (due_us := session.due_us()) is not None
        ]
        if not waiting:
            return None
        at_us, _, session_id = min(waiting)
        return Turn(session_id, at_us)

    def step(self, session_id: str, now_us: int) -> AVChunk | None:
        """Make the session's next chunk, or None when the motion needs another pass."""
        return self._sessions[session_id].step(now_us)

    def record_work(self, session_id: str, work_us: int, *, made: bool) -> None:
        """Count the time of one step; `made`: it finished a chunk. May ease sessions."""
        work_us += self._unfinished_us.pop(session_id, 0)
        if not made:
            self._unfinished_us[session_id] = work_us
            return
        self._work_us.append(work_us)
        if not self._sessions:
            return
        self._relief.record(work_us, len(self._sessions))
        steps = share(self._relief.steps, len(self._sessions))
        for session, step in zip(self._sessions.values(), steps, strict=True):
            session.ease(self._ladder[step])
