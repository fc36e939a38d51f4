"""What REST takes and gives."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from gateway.errors import Problem
from gateway.store.tables import Avatar, Call
from gateway.voices import voices
from proto.messages import Expression, Mood

DEFAULT_NAME = "My avatar"
AvatarName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Persona = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class NewAvatar(BaseModel):
    """The text fields that come with a portrait."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: AvatarName
    persona: Persona = ""
    voice: str | None = None
    consent: bool = False

    @field_validator("voice")
    @classmethod
    def _known(cls, voice: str | None) -> str | None:
        if voice and voice not in voices():
            raise ValueError(f"there is no voice {voice!r}; GET /api/voices lists them")
        return voice or None


class NewUnnamedAvatar(NewAvatar):
    """Avatar and room in one step: the name may be left out."""

    name: AvatarName = DEFAULT_NAME
    transcript: bool | None = None
    mood: Expression | None = None


class AvatarCreated(BaseModel):
    """A portrait was accepted. `checks` are the measurements behind the verdict."""

    id: str
    name: str
    preview_url: str
    checks: dict[str, float]


class AvatarView(BaseModel):
    """An avatar that can be called."""

    id: str
    name: str
    persona: str
    voice: str
    preview_url: str
    is_default: bool = Field(description="Shipped with the program; cannot be deleted")
    consent: str | None = Field(
        description="What was confirmed at the upload; `synthetic`: nobody is depicted"
    )
    consented_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, avatar: Avatar) -> Self:
        return cls(
            id=avatar.id,
            name=avatar.name,
            persona=avatar.persona,
            voice=avatar.voice,
            preview_url=preview_url(avatar.id),
            is_default=avatar.is_default,
            consent=avatar.consent,
            consented_at=avatar.consented_at,
            created_at=avatar.created_at,
        )


def preview_url(avatar_id: str) -> str:
    """Where the square portrait of an avatar is served."""
    return f"/api/avatars/{avatar_id}/portrait"


class NewRoom(BaseModel):
    """Whom to call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    avatar_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    transcript: bool | None = Field(
        default=None, description="false: no captions, nothing said is kept; null: as configured"
    )
    mood: Mood | None = Field(
        default=None, description="The face's own, under those of its replies; null: neutral"
    )


class RoomCreated(BaseModel):
    """A room that waits for its caller. Whoever holds `call_url` may open it and call."""

    room: str
    livekit_url: str
    token: str
    call_url: str
    expires_at: datetime


class AtCapacity(Problem):
    """All places are taken; whoever asks again with the ticket keeps the position."""

    position: int = Field(description="1: next", examples=[2])
    estimated_wait_s: int = Field(examples=[180])
    ticket: str | None = Field(default=None, description="None: the waiting line is full")


class RoomAvatar(BaseModel):
    """Who answers in a room. `id` and `preview_url` are null where its avatar is gone."""

    id: str | None
    name: str
    preview_url: str | None


class RoomView(BaseModel):
    """A room's record."""

    room: str
    state: Literal["created", "active", "ended"]
    end_reason: str | None
    avatar: RoomAvatar
    livekit_url: str
    livekit_local: bool = Field(description="Connect without STUN servers")
    transcript: bool = Field(description="Whether what is said is written as captions")
    mood: Mood | None = Field(description="The face's own, as it was set last")
    created_at: datetime
    expires_at: datetime
    started_at: datetime | None
    agent_joined_at: datetime | None
    ended_at: datetime | None
    callers: int = Field(description="How often a caller joined")
    dispatches: int = Field(description="How often an agent was asked for")

    @classmethod
    def of(cls, call: Call, livekit_url: str, livekit_local: bool) -> Self:
        has_avatar = call.avatar_id is not None
        avatar = RoomAvatar(
            id=call.avatar_id,
            name=call.avatar_name,
            preview_url=preview_url(call.avatar_id) if call.avatar_id and has_avatar else None,
        )
        return cls.model_validate(
            {
                **{name: getattr(call, name) for name in cls.model_fields if hasattr(call, name)},
                "avatar": avatar,
                "livekit_url": livekit_url,
                "livekit_local": livekit_local,
            }
        )


class PartStatus(BaseModel):
    """One part of the system. `labels` tell people what runs, such as the brain."""

    ready: bool
    detail: str
    labels: dict[str, str] = {}


class Readiness(BaseModel):
    """Whether calls can be made; `not_ready` names the parts that stand in the way."""

    ready: bool
    not_ready: list[str]
    parts: dict[str, PartStatus]
