"""Every message of the product, one file for each road. Prose: docs/protocol.md."""

from proto.message import Message
from proto.messages.agent_actor import AVChunk, Grant, Listen, SetMood
from proto.messages.agent_thinker import (
    TextDelta,
    Transcript,
    TurnBoundary,
    TurnEnd,
    TurnState,
    UserAudio,
    UserFrame,
    UserText,
)
from proto.messages.mood import Expression, Mood, MoodChange, SpokenMood
from proto.messages.parts import MAX_IMAGE_BYTES, MAX_TEXT_CHARACTERS, HistoryTurn, Phone
from proto.messages.portrait import CheckPortrait, PortraitChecked
from proto.messages.session import (
    CloseSession,
    EngineStatus,
    Failure,
    Interrupt,
    OpenActorSession,
    OpenThinkerSession,
    Ping,
    SessionReady,
)
from proto.messages.thinker_actor import HiddenChunk

ALL_MESSAGES: tuple[type[Message], ...] = (
    Ping,
    OpenThinkerSession,
    OpenActorSession,
    CloseSession,
    SessionReady,
    EngineStatus,
    CheckPortrait,
    PortraitChecked,
    TurnBoundary,
    UserAudio,
    UserText,
    UserFrame,
    Interrupt,
    Listen,
    Grant,
    SetMood,
    Transcript,
    TextDelta,
    TurnState,
    TurnEnd,
    HiddenChunk,
    AVChunk,
    Failure,
)

__all__ = [
    "ALL_MESSAGES",
    "MAX_IMAGE_BYTES",
    "MAX_TEXT_CHARACTERS",
    "AVChunk",
    "CheckPortrait",
    "CloseSession",
    "EngineStatus",
    "Expression",
    "Failure",
    "Grant",
    "HiddenChunk",
    "HistoryTurn",
    "Interrupt",
    "Listen",
    "Mood",
    "MoodChange",
    "OpenActorSession",
    "OpenThinkerSession",
    "Phone",
    "Ping",
    "PortraitChecked",
    "SessionReady",
    "SetMood",
    "SpokenMood",
    "TextDelta",
    "Transcript",
    "TurnBoundary",
    "TurnEnd",
    "TurnState",
    "UserAudio",
    "UserFrame",
    "UserText",
]
