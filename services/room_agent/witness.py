"""The caller's page as a witness: when what left here was heard and seen there.

Page and agent have different clocks. The page asks for this one (`xs.clock`), several times, and
keeps the answer that took the shortest way: its offset is wrong by half of that way at most. When
a reply has begun or was cut the agent asks (`xs.when`) when what left at its first frame, or where
it fell silent, was heard and seen; the page answers on this clock (`xs.then`). What a page says is
checked and otherwise believed: it can only spoil its own call's figures.
"""

import json
import logging
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.room_agent.call_clock import call_us
from services.room_agent.records import CallQuality, Count
from services.room_agent.turn_timing import TurnTiming

log = logging.getLogger(__name__)

CLOCK_TOPIC: Final = "xs.clock"
WHEN_TOPIC: Final = "xs.when"
THEN_TOPIC: Final = "xs.then"
QUALITY_TOPIC: Final = "xs.quality"
TURN_TOPIC: Final = "xs.turn"
PAGE_TOPICS: Final = frozenset({CLOCK_TOPIC, THEN_TOPIC, QUALITY_TOPIC})
MAX_MESSAGE_BYTES: Final = 2_048
MAX_DELAY_US: Final = 5_000_000
"""What is told of more than this after the event is a mistake."""

Question = Literal["began", "cut"]
Moment = Annotated[float, Field(ge=0, le=2**53, allow_inf_nan=False)]


class _PageMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClockQuestion(_PageMessage):
    """`sent_ms` on the page's clock; `round_trip_ms` is the shortest one so far."""

    sent_ms: Moment
    round_trip_ms: Annotated[float, Field(ge=0, le=60_000, allow_inf_nan=False)] | None = None


class Then(_PageMessage):
    """The page's answer, on the agent's clock."""

    turn: Count
    epoch: Count
    moment: Question
    heard_us: Moment | None = None
    seen_us: Moment | None = None
    error_us: Annotated[float, Field(ge=0, le=MAX_DELAY_US, allow_inf_nan=False)]


_ANSWERS: Final[dict[str, TypeAdapter[ClockQuestion | Then | CallQuality]]] = {
    CLOCK_TOPIC: TypeAdapter(ClockQuestion),
    THEN_TOPIC: TypeAdapter(Then),
    QUALITY_TOPIC: TypeAdapter(CallQuality),
}


def read(topic: str, payload: bytes) -> ClockQuestion | Then | CallQuality | None:
    """What the page says, or None when it makes no sense."""
    if len(payload) > MAX_MESSAGE_BYTES:
        return None
    try:
        return _ANSWERS[topic].validate_json(payload)
    except ValidationError as error:
        # Not at a level that is kept: a page may say nonsense very often.
        log.debug("the page's message makes no sense", extra={"topic": topic, "why": str(error)})
        return None


def clock_answer(question: ClockQuestion, received_us: int) -> str:
    """This clock, for the page: when the question came and when the answer left."""
    return json.dumps(
        {"sent_ms": question.sent_ms, "received_us": received_us, "answered_us": call_us()}
    )


def when(timing: TurnTiming, moment: Question) -> str:
    """Ask when what left at the reply's first frame, or as it fell silent, was heard and seen."""
    left_us = timing.first_shown_us if moment == "began" else timing.detected_us
    question = {"turn": timing.turn, "epoch": timing.epoch, "moment": moment, "left_us": left_us}
    return json.dumps(question)


def note(then: Then, timing: TurnTiming) -> None:
    """Write the page's answer into the turn, unless it cannot be true."""
    began = then.moment == "began"
    left_us = timing.first_shown_us if began else timing.detected_us
    timing.clock_error_us = round(then.error_us)
    for told_us, name in (
        (then.heard_us, "voice_rendered_us" if began else "silence_rendered_us"),
        (then.seen_us, "face_rendered_us" if began else "still_rendered_us"),
    ):
        if told_us is not None and -then.error_us <= told_us - left_us <= MAX_DELAY_US:
            timing.mark(name, round(told_us))  # type: ignore[arg-type]
