"""What an agent is told: of the call it joins by its LiveKit dispatch, later by its room."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from proto.messages import Mood
from services.room_agent.conversation import Conversation

JOB_VERSION = 1
DEFAULT_AGENT_NAME = "xstreamer"


class JobModel(BaseModel):
    """Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AvatarJob(JobModel):
    """Whom the agent plays. `voice` is `hibari` or `kokoro:<name>`; `language` a BCP 47 tag."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    persona: Annotated[str, StringConstraints(max_length=2000)] = ""
    voice: str
    language: str = "en"


class CallJob(JobModel):
    """One call. The portrait is at a path of a shared disk or behind a URL, never in here."""

    version: int = JOB_VERSION
    call_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
    avatar: AvatarJob
    portrait_path: str | None = None
    portrait_url: str | None = None
    conversation: Conversation | None = None
    """What was said before: this agent takes over a call."""
    transcript: bool = True
    """False: what is said leaves the agent as sound only, and is told to nobody."""
    mood: Mood | None = None
    """The face's own, under those of its replies."""

    @model_validator(mode="after")
    def _one_portrait(self) -> Self:
        if self.version != JOB_VERSION:
            raise ValueError(f"job version {self.version}, this agent reads {JOB_VERSION}")
        if (self.portrait_path is None) == (self.portrait_url is None):
            raise ValueError("give either portrait_path or portrait_url")
        return self

    def to_metadata(self) -> str:
        """The text that travels as dispatch metadata."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def from_metadata(cls, metadata: str) -> Self:
        """Raises pydantic.ValidationError when the text is not a job."""
        return cls.model_validate_json(metadata)


class RoomState(JobModel):
    """What may change while a call is on: the room's metadata, newer than any dispatch's.

    Only who holds the LiveKit key can write it; whoever is in the room can read it.
    """

    mood: Mood

    def to_metadata(self) -> str:
        """The room's metadata."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def from_metadata(cls, metadata: str) -> Self:
        """Raises pydantic.ValidationError when the text says nothing of the kind."""
        return cls.model_validate_json(metadata)
