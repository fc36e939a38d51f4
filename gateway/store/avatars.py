"""Reading and writing avatars."""

from sqlalchemy import select

from gateway.store.database import Database
from gateway.store.tables import Avatar


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

    def remove(self, avatar_id: str) -> bool:
        """Whether there was one."""
        with self._database.session() as session:
            avatar = session.get(Avatar, avatar_id)
            if avatar is not None:
                session.delete(avatar)
            return avatar is not None
