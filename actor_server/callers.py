"""Which agents have a session here, and when each was last heard. Pure: the time is passed in."""

from dataclasses import dataclass

from actor_server.errors import SessionExists, SessionLimit


@dataclass(eq=False)
class Caller:
    """The agent of one session. The same id may be opened again later, by another Caller."""

    session_id: str
    peer: bytes
    opened_us: int
    seen_us: int
    ready: bool = False


class Callers:
    """The sessions that are open or being opened."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._callers: dict[str, Caller] = {}

    def __len__(self) -> int:
        return len(self._callers)

    def get(self, session_id: str) -> Caller | None:
        return self._callers.get(session_id)

    def has(self, caller: Caller) -> bool:
        """Whether this caller is still here, and was not replaced by another of the same id."""
        return self._callers.get(caller.session_id) is caller

    def enter(self, session_id: str, peer: bytes, now_us: int) -> Caller:
        """Begin to open a session. Raises SessionExists or SessionLimit."""
        if session_id in self._callers:
            raise SessionExists(f"session {session_id} is open already")
        if len(self._callers) >= self._limit:
            raise SessionLimit(
                f"all {self._limit} sessions are taken: try again later, or raise max_sessions "
                "in [actor]"
            )
        caller = self._callers[session_id] = Caller(session_id, peer, now_us, now_us)
        return caller

    def leave(self, session_id: str) -> None:
        """The session is over; unknown ones are gone already."""
        self._callers.pop(session_id, None)

    def heard(self, session_id: str, peer: bytes, now_us: int) -> None:
        """Something came from this peer; other peers (the Thinker) keep no session alive."""
        caller = self._callers.get(session_id)
        if caller is not None and caller.peer == peer:
            caller.seen_us = now_us

    def silent_since(self, time_us: int) -> list[str]:
        """The sessions whose agent was not heard since then."""
        return [caller.session_id for caller in self._callers.values() if caller.seen_us < time_us]
