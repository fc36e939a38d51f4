"""Tables of the gateway's database; every change here needs a migration."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from proto.messages import Mood
from services.room_agent.job import CallJob


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on every database; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Metadata that the migrations are checked against."""


class ApiKey(Base):
    """Who may do what. The key itself is nowhere: only its SHA-256 is kept.

    A browser's session is a key too: it has a `parent`, with which it ends, and `expires_at`.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    parent: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Avatar(Base):
    """A face that can be called. Its pictures lie in the portrait directory under its id.

    `consent` names what was confirmed (gateway/consent.py); None: uploaded before anyone asked.
    `used_at`: when it was made, or called for the last time.
    """

    __tablename__ = "avatars"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    persona: Mapped[str] = mapped_column(Text)
    voice: Mapped[str] = mapped_column(String(64))
    is_default: Mapped[bool]
    checks: Mapped[dict[str, float]] = mapped_column(JSON)
    owner: Mapped[str | None] = mapped_column(String(32))
    """The key that made it; None: made while no keys were asked for, or shipped."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    consent: Mapped[str | None] = mapped_column(String(32))
    consented_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Call(Base):
    """One room from its creation on; `state` is created, active or ended.

    `conversation` is there only while the call is on, for an agent that takes over.
    """

    __tablename__ = "calls"

    room: Mapped[str] = mapped_column(String(128), primary_key=True)
    avatar_id: Mapped[str | None] = mapped_column(
        ForeignKey("avatars.id", ondelete="SET NULL"), index=True
    )
    avatar_name: Mapped[str] = mapped_column(String(80))
    job: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), index=True)
    end_reason: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    agent_joined_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    callers: Mapped[int] = mapped_column(Integer)
    dispatches: Mapped[int] = mapped_column(Integer)
    conversation: Mapped[str | None] = mapped_column(Text)

    @property
    def transcript(self) -> bool:
        """Whether its words may be written down at all."""
        return CallJob.from_metadata(self.job).transcript

    @property
    def mood(self) -> Mood | None:
        """The face's own."""
        return CallJob.from_metadata(self.job).mood


class Turn(Base):
    """One turn of a call as its agent reported it; `record` is a TurnRecord."""

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("room", "turn", "epoch"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    room: Mapped[str] = mapped_column(ForeignKey("calls.room", ondelete="CASCADE"))
    turn: Mapped[int] = mapped_column(Integer)
    epoch: Mapped[int] = mapped_column(Integer)
    voice_end_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    voice_to_voice_ms: Mapped[float | None] = mapped_column(Float)
    voice_to_face_ms: Mapped[float | None] = mapped_column(Float)
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
