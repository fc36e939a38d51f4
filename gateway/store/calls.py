"""Call records and the only changes of state that a call may make."""

from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any, Final

from sqlalchemy import and_, delete, func, literal, or_, select, update

from gateway.store.database import Database
from gateway.store.tables import Avatar, Call, UtcDateTime

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
        self._change(room, **_active(), callers=Call.callers + 1)

    def activate(self, room: str) -> None:
        """A caller is there, noticed late; each is counted where they join."""
        self._change(room, **_active())

    def agent_joined(self, room: str) -> Call | None:
        """The call when its agent came for the first time, else None."""
        first = update(Call).where(Call.room == room, Call.agent_joined_at.is_(None))
        with self._database.session() as session:
            done = session.connection().execute(first.values(agent_joined_at=datetime.now(UTC)))
            return session.get(Call, room) if done.rowcount else None

    def dispatched(self, room: str) -> None:
        """One more agent was asked for."""
        self._change(room, dispatches=Call.dispatches + 1)

    def remember(self, room: str, conversation: str) -> None:
        """What was said so far, for an agent that takes over."""
        self._change(room, conversation=conversation)

    def tell(self, room: str, job: str) -> bool:
        """What agents that come from now on are told; was the call live?"""
        return self._change(room, job=job)

    def ending(self, room: str, reason: str) -> None:
        """Why it will have ended; the first who says so is right."""
        self._change(room, end_reason=func.coalesce(Call.end_reason, reason))

    def not_ending(self, room: str) -> None:
        """It could not be ended."""
        self._change(room, end_reason=None)

    def end(self, room: str, reason: str) -> bool:
        """Whether the call was live until now; what was said in it is wiped."""
        if not self._end(room, reason):
            return False
        self._database.scrub()
        return True

    def _end(self, room: str, reason: str) -> bool:
        return self._change(
            room,
            state="ended",
            end_reason=func.coalesce(Call.end_reason, reason),
            ended_at=datetime.now(UTC),
            conversation=None,
        )

    def _change(self, room: str, **values: Any) -> bool:
        """In one statement, so that nothing comes between looking and writing; was it live?"""
        live = update(Call).where(Call.room == room, Call.state != "ended").values(**values)
        with self._database.session() as session:
            return bool(session.connection().execute(live).rowcount)

    def remove(self, room: str) -> None:
        """Delete a call; its turns go with it."""
        with self._database.session() as session:
            session.execute(delete(Call).where(Call.room == room))

    def forget(self, before: datetime) -> int:
        """Delete the calls that ended before; how many."""
        query = delete(Call).where(Call.state == "ended", Call.ended_at < before)
        with self._database.session() as session:
            return int(session.connection().execute(query).rowcount)


def _active() -> dict[str, Any]:
    now = literal(datetime.now(UTC), UtcDateTime)
    return {"state": "active", "started_at": func.coalesce(Call.started_at, now)}
