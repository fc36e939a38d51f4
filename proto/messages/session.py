"""Between an agent and either engine: the life of a session, and what ends a reply in both."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from proto.message import MAX_COUNT, Count, Message, Name
from proto.messages.parts import (
    MAX_HISTORY_TURNS,
    MAX_LABELS,
    Endpoint,
    HistoryTurn,
    ImageFile,
    Text,
)


class Ping(Message):
    """Anyone -> engine: answered with EngineStatus once the engine is ready to open sessions."""


class OpenThinkerSession(Message):
    """Agent -> Thinker: begin a conversation."""

    name: Name
    persona: Text = ""
    voice: Name
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    history: Annotated[
        tuple[HistoryTurn, ...], Field(max_length=MAX_HISTORY_TURNS, fail_fast=True)
    ] = ()
    actor_endpoint: Endpoint


class OpenActorSession(Message):
    """Agent -> Actor: begin to render one portrait. `portrait` is an image file's bytes (N,)."""

    portrait: ImageFile
    seed: Count = 0


class CloseSession(Message):
    """Agent -> engine: free everything that belongs to the session."""


class SessionReady(Message):
    """Engine -> agent: the session is open. `labels` tell people what runs (brain, voice, ...)."""

    engine: Literal["thinker", "actor"]
    labels: dict[Name, Text] = Field(default_factory=dict, max_length=MAX_LABELS)


class EngineStatus(Message):
    """Engine -> anyone: measured load. Real-time factor = work seconds per media second.

    `degradation_step`: how much work the call saves that saves most, 0 nothing to 4 a still face.
    """

    engine: Literal["thinker", "actor"]
    real_time_factor: Annotated[float, Field(ge=0)]
    queue_depth: Count
    sessions: Count
    degradation_step: Count = 0
    labels: dict[Name, Text] = Field(default_factory=dict, max_length=MAX_LABELS)


class Interrupt(Message):
    """Agent -> Thinker, Actor: everything older than this epoch is void.

    The Thinker cuts its context to the first `heard_tokens` audio tokens of reply `turn`; the Actor
    drops what was rendered after chunk `last_shown_chunk` (-1: none was shown) and goes on there.
    """

    turn: Count
    heard_tokens: Count
    last_shown_chunk: Annotated[int, Field(ge=-1, le=MAX_COUNT)]


class Failure(Message):
    """Something went wrong: a stable `code`, a `message` for a person, and whether to try again."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    message: Text
    retryable: bool
