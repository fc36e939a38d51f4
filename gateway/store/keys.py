"""API keys and browser sessions, found by the hash of what was shown."""

from datetime import UTC, datetime

from sqlalchemy import delete, select

from gateway.store.database import Database
from gateway.store.tables import ApiKey


class KeyStore:
    """Blocking; call it from worker threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        """Sessions that have ended go at the same time."""
        with self._database.session() as session:
            session.execute(delete(ApiKey).where(ApiKey.expires_at < datetime.now(UTC)))
            session.add(key)

    def by_hash(self, digest: str) -> ApiKey | None:
        """A key or session that is still good."""
        with self._database.session() as session:
            key = session.scalar(select(ApiKey).where(ApiKey.hash == digest))
        if key is None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC)):
            return None
        return key

    def get(self, key_id: str) -> ApiKey | None:
        with self._database.session() as session:
            return session.get(ApiKey, key_id)

    def all(self) -> list[ApiKey]:
        """Keys without the sessions that were opened with them, oldest first."""
        query = select(ApiKey).where(ApiKey.parent.is_(None)).order_by(ApiKey.created_at, ApiKey.id)
        with self._database.session() as session:
            return list(session.scalars(query))

    def remove(self, key_id: str) -> bool:
        """Whether there was one. Its sessions end with it."""
        with self._database.session() as session:
            gone = session.connection().execute(delete(ApiKey).where(ApiKey.id == key_id))
            return bool(gone.rowcount)
