"""What the conversation of a call does to the world."""

from enum import StrEnum
from typing import Protocol

from proto.message import Message
from proto.messages import AVChunk
from services.room_agent.conversation import Conversation
from services.room_agent.playhead import Heard
from services.room_agent.turn_timing import TurnTiming


class Phase(StrEnum):
    """What the avatar does, as people see it (`lk.agent.state`)."""

    INITIALIZING = "initializing"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


class CallPorts(Protocol):
    """What a call can do to the world. Nothing here waits."""

    def to_thinker(self, message: Message) -> None: ...

    def to_actor(self, message: Message) -> None: ...

    def show_phase(self, phase: Phase) -> None: ...

    def show_user_words(self, turn: int, text: str, final: bool) -> None: ...

    def show_reply_words(self, turn: int, text: str) -> None: ...

    def end_reply_words(self, turn: int) -> None: ...

    def show_notice(self, text: str) -> None: ...

    def reply_began(self, timing: TurnTiming) -> None: ...

    def report_turn(self, timing: TurnTiming) -> None: ...

    def count_failure(self, code: str) -> None: ...

    def remember(self, conversation: Conversation) -> None: ...

    def drop_unheard(self) -> None: ...

    def play(self, chunk: AVChunk) -> None: ...

    def heard(self, turn: int) -> Heard: ...
