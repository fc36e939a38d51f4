"""Call records and the only changes of state that a call may make."""

from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Final

from sqlalchemy import and_, delete, func, or_, select

from gateway.store.database import Database
from gateway.store.tables import Avatar, Call

USUAL_CALLS: Final = 100
UNKNOWN_LENGTH_S: Final = 180.0
"""Before any call has ended."""


class CallStore:
    """created -> active -> ended; nothing leaves `ended`. Blocking; call it from worker threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, call: Call) -> bool:
        """Its avatar counts as used now. False: it was deleted, and nothing was added."""
        with self._database.session() as session:
            if call.avatar_id is not None:
                avatar = session.get(Avatar, call.avatar_id, with_for_update=True)
                if avatar is None:
                    return False
                avatar.used_at = call.created_at
            session.add(call)
            return True

    def get(self, room: str) -> Call | None:
        with self._database.session() as session:
            return session.get(Call, room)

    def live(self) -> list[Call]:
        """Calls that have not ended, oldest first."""
        query = select(Call).where(Call.state != "ended").order_by(Call.created_at)
        with self._database.session() as session:
            return list(session.scalars(query))

    def taken(self, empty_timeout_s: float) -> int:
        """Calls that hold a place. A room that nobody came to has closed after its timeout."""
        fresh = datetime.now(UTC) - timedelta(seconds=empty_timeout_s)
        waits = and_(Call.state == "created", Call.created_at > fresh)
        query = select(func.count()).where(or_(Call.state == "active", waits))
        with self._database.session() as session:
            return session.scalar(query) or 0

    def usual_length_s(self) -> float:
        """How long the last calls lasted, on average."""
        query = (
            select(Call.started_at, Call.ended_at)
            .where(Call.state == "ended", Call.started_at.is_not(None))
            .order_by(Call.created_at.desc())
            .limit(USUAL_CALLS)
        )
        with self._database.session() as session:
            lengths = [
                (end - start).total_seconds()
                for start, end in session.execute(query)
                if start is not None and end is not None
            ]
        return fmean(lengths) if lengths else UNKNOWN_LENGTH_S

    def caller_joined(self, room: str) -> None:
        """Count one more caller; the first makes the call active."""
        with self._database.session() as session:
            call = session.get(Call, room)
            if call is not None and call.state != "ended":
                call.callers += 1
                _activate(call)

    def activate(self, room: str) -> None:
        """A caller is there, noticed late; each is counted where they join."""
        with self._database.session() as session:
            call = session.get(Call, room)
            if call is not None and call.state != "ended":
                _activate(call)

    def agent_joined(self, room: str) -> Call | None:
        """The call when its agent came for the first time, else None."""
        with self._database.session() as session:
            call = session.get(Call, room)
            if call is None or call.agent_joined_at is not None:
                return None
            call.agent_joined_at = datetime.now(UTC)
            return call

    def dispatched(self, room: str) -> None:
        """One more agent was asked for."""
        with self._database.session() as session:
            if (call := session.get(Call, room)) is not None:
                call.dispatches += 1

    def remember(self, room: str, conversation: str) -> None:
        """What was said so far, for an agent that takes over."""
        with self._database.session() as session:
            call = session.get(Call, room)
            if call is not None and call.state != "ended":
                call.conversation = conversation

    def end(self, room: str, reason: str) -> bool:
        """Whether the call was live until now; what was said in it is wiped."""
        if not self._end(room, reason):
            return False
        self._database.scrub()
        return True

    def _end(self, room: str, reason: str) -> bool:
        with self._database.session() as session:
            call = session.get(Call, room)
            if call is None or call.state == "ended":
                return False
            call.state, call.end_reason = "ended", reason
            call.ended_at = datetime.now(UTC)
            call.conversation = None
            return True

    def remove(self, room: str) -> None:
        """Delete a call; its turns go with it."""
        with self._database.session() as session:
            session.execute(delete(Call).where(Call.room == room))

    def forget(self, before: datetime) -> int:
        """Delete the calls that ended before; how many."""
        query = delete(Call).where(Call.state == "ended", Call.ended_at < before)
        with self._database.session() as session:
            return int(session.connection().execute(query).rowcount)


def _activate(call: Call) -> None:
    call.state = "active"
    call.started_at = call.started_at or datetime.now(UTC)
