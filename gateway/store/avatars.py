"""Reading and writing avatars."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select

from gateway.store.database import Database
from gateway.store.tables import Avatar, Call


class AvatarStore:
    """Blocking; call it from worker threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, avatar: Avatar) -> None:
        with self._database.session() as session:
            session.add(avatar)

    def put(self, avatar: Avatar) -> None:
        """Insert or overwrite by id."""
        with self._database.session() as session:
            session.merge(avatar)

    def get(self, avatar_id: str) -> Avatar | None:
        with self._database.session() as session:
            return session.get(Avatar, avatar_id)

    def all(self) -> list[Avatar]:
        """Defaults first in their shipped order, then uploads, newest first."""
        order = (Avatar.is_default.desc(), Avatar.created_at.desc(), Avatar.id)
        with self._database.session() as session:
            return list(session.scalars(select(Avatar).order_by(*order)))

    def ids(self) -> set[str]:
        with self._database.session() as session:
            return set(session.scalars(select(Avatar.id)))

    def unused_since(self, before: datetime) -> list[str]:
        """Ids of uploaded avatars that were last used before, and are not in a call now."""
        in_call = select(Call.avatar_id).where(Call.state != "ended", Call.avatar_id.is_not(None))
        query = select(Avatar.id).where(
            Avatar.is_default.is_(False), Avatar.used_at < before, Avatar.id.not_in(in_call)
        )
        with self._database.session() as session:
            return list(session.scalars(query))

    def remove(self, avatar_id: str, closed: Collection[str]) -> list[str] | None:
        """Delete an avatar with its calls and their turns; returns the rooms of these.

        None, and nothing was deleted: a call is live whose room is not among those closed.
        """
        with self._database.session() as session:
            session.get(Avatar, avatar_id, with_for_update=True)  # nobody adds a call meanwhile
            of_avatar = delete(Call).where(Call.avatar_id == avatar_id)
            calls = session.execute(of_avatar.returning(Call.room, Call.state)).all()
            if any(state != "ended" and room not in closed for room, state in calls):
                session.rollback()
                return None
            session.execute(delete(Avatar).where(Avatar.id == avatar_id))
            return [room for room, _ in calls]
