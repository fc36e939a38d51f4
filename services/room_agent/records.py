"""What a call tells the gateway: its turns, what its page sees, and what failed."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.room_agent.conversation import Conversation
from services.room_agent.stages import FACE_RENDERED, POINTS, VOICE_RENDERED

MAX_MS = 600_000
Milliseconds = Annotated[float, Field(ge=-MAX_MS, le=MAX_MS, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC))
]
MAX_TURNS = 64
MAX_QUALITY = 64


class Record(BaseModel):
    """Frozen; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BargeIn(Record):
    """The caller spoke into the answer. Milliseconds after the first sound of that, at the caller.

    `detected_ms`: the agent heard a voice and fell silent; None in reports from before it was
    noted. `noticed_ms`: it was sure and cut the answer. Silence and stillness are the caller's.
    """

    detected_ms: Milliseconds | None = None
    noticed_ms: Milliseconds
    silence_ms: Milliseconds | None = None
    still_ms: Milliseconds | None = None

    def after_detection_ms(self, moment_ms: float | None) -> float | None:
        """The same moment from when the agent heard the voice."""
        if moment_ms is None or self.detected_ms is None:
            return None
        return moment_ms - self.detected_ms


class TurnRecord(Record):
    """One turn and its answer. `points`: milliseconds after the caller's last sound.

    `late_ms`: silence inside the answer. `clock_error_ms`: how far the two moments in the browser
    may be off, None where no page told of them. `sent_fps`: frames a second that left the agent in
    the call up to then, those that stood in for late ones included, as a browser counts them too.
    """

    turn: Count
    epoch: Count
    typed: bool
    outcome: Literal["completed", "interrupted", "empty", "failed"]
    voice_end_at: Moment
    points: dict[str, Milliseconds]
    heard_tokens: Count
    late_ms: Milliseconds
    clock_error_ms: Milliseconds | None = None
    barge_in: BargeIn | None = None
    sent_fps: Annotated[float, Field(ge=0, le=240, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _known_points(self) -> Self:
        if unknown := self.points.keys() - set(POINTS):
            raise ValueError(f"no such points: {', '.join(sorted(unknown))}")
        return self

    @property
    def voice_to_voice_ms(self) -> float | None:
        """From the caller's last sound to the answer's first at the caller's ear."""
        return self.points.get(VOICE_RENDERED)

    @property
    def voice_to_face_ms(self) -> float | None:
        """From the caller's last sound to the answer's first frame on the caller's screen."""
        return self.points.get(FACE_RENDERED)


class CallQuality(Record):
    """What the page saw in the last seconds. A picture that is late has a positive offset."""

    seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
    fps: Annotated[float, Field(ge=0, le=240, allow_inf_nan=False)]
    freezes: Count
    frozen_ms: Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)]
    concealed_percent: Share
    av_offset_ms: Milliseconds | None = None
    round_trip_ms: Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)] | None = None


class CallReport(Record):
    """Sent every few seconds and after each turn. Everything counts from the report before.

    `conversation`: the whole of it, when something was said since.
    """

    phase: Annotated[str, StringConstraints(max_length=32)]
    turns: Annotated[tuple[TurnRecord, ...], Field(max_length=MAX_TURNS)] = ()
    quality: Annotated[tuple[CallQuality, ...], Field(max_length=MAX_QUALITY)] = ()
    conversation: Conversation | None = None
    failures: dict[Code, Count] = Field(default_factory=dict, max_length=64)
