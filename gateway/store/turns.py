"""Turns as their agents reported them: added once each, kept for a while, read newest first."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select

from gateway.store.database import Database
from gateway.store.tables import Call, Turn
from services.room_agent.records import TurnRecord


class TurnStore:
    """Blocking; call it from worker threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, room: str, records: Sequence[TurnRecord]) -> list[TurnRecord]:
        """Store what is new of a call that is known; a report may come twice. Returns the new."""
        with self._database.session() as session:
            if session.get(Call, room) is None:
                return []
            known = {
                (turn, epoch)
                for turn, epoch in session.execute(
                    select(Turn.turn, Turn.epoch).where(Turn.room == room)
                )
            }
            fresh = [record for record in records if (record.turn, record.epoch) not in known]
            session.add_all(_row(room, record) for record in fresh)
            return fresh

    def newest(
        self, limit: int, *, room: str | None = None, since: datetime | None = None
    ) -> list[tuple[Turn, Call]]:
        """Turns with their calls, newest first."""
        query = select(Turn, Call).join(Call, Turn.room == Call.room)
        if room is not None:
            query = query.where(Turn.room == room)
        if since is not None:
            query = query.where(Turn.voice_end_at >= since)
        query = query.order_by(Turn.voice_end_at.desc(), Turn.id.desc()).limit(limit)
        with self._database.session() as session:
            return [(turn, call) for turn, call in session.execute(query)]

    def get(self, turn_id: int) -> tuple[Turn, Call] | None:
        query = select(Turn, Call).join(Call, Turn.room == Call.room).where(Turn.id == turn_id)
        with self._database.session() as session:
            row = session.execute(query).first()
            return None if row is None else (row[0], row[1])

    def forget(self, before: datetime, keep: int) -> int:
        """Remove turns older than `before` and all but the newest `keep`; how many."""
        newest = select(Turn.id).order_by(Turn.voice_end_at.desc(), Turn.id.desc()).limit(keep)
        with self._database.session() as session:
            kept = select(newest.subquery().c.id)
            query = delete(Turn).where((Turn.voice_end_at < before) | Turn.id.not_in(kept))
            return int(session.connection().execute(query).rowcount)


def _row(room: str, record: TurnRecord) -> Turn:
    return Turn(
        room=room,
        turn=record.turn,
        epoch=record.epoch,
        voice_end_at=record.voice_end_at,
        voice_to_voice_ms=record.voice_to_voice_ms,
        voice_to_face_ms=record.voice_to_face_ms,
        record=record.model_dump(mode="json"),
    )
