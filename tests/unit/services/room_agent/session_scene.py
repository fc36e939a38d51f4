"""A conversation without a call: ports that note, and what caller, engines and playout say."""

from proto.message import Message
from proto.messages import AVChunk, TextDelta, TurnEnd
from services.room_agent.call_ports import Phase
from services.room_agent.call_session import CallSession
from services.room_agent.conversation import Conversation
from services.room_agent.playhead import Block, Heard
from services.room_agent.turn_detector import TurnEvent
from services.room_agent.turn_timing import TurnTiming
from tests.unit.services.room_agent.fake_call import CALL


class Ports:
    """Notes what the session does."""

    def __init__(self) -> None:
        self.thinker: list[Message] = []
        self.actor: list[Message] = []
        self.phases: list[Phase] = []
        self.words: list[str] = []
        self.ended: list[int] = []
        self.notices: list[str] = []
        self.began: list[TurnTiming] = []
        self.reports: list[TurnTiming] = []
        self.failures: list[str] = []
        self.played: list[AVChunk] = []
        self.remembered: list[Conversation] = []
        self.drops = 0
        self.heard_tokens = 0

    def to_thinker(self, message: Message) -> None:
        self.thinker.append(message)

    def to_actor(self, message: Message) -> None:
        self.actor.append(message)

    def show_phase(self, phase: Phase) -> None:
        self.phases.append(phase)

    def show_user_words(self, turn: int, text: str, final: bool) -> None:
        self.words.append(f"user {turn}: {text}")

    def show_reply_words(self, turn: int, text: str) -> None:
        self.words.append(f"reply {turn}: {text}")

    def end_reply_words(self, turn: int) -> None:
        self.ended.append(turn)

    def show_notice(self, text: str) -> None:
        self.notices.append(text)

    def reply_began(self, timing: TurnTiming) -> None:
        self.began.append(timing)

    def report_turn(self, timing: TurnTiming) -> None:
        self.reports.append(timing)

    def count_failure(self, code: str) -> None:
        self.failures.append(code)

    def remember(self, conversation: Conversation) -> None:
        self.remembered.append(conversation)

    def drop_unheard(self) -> None:
        self.drops += 1

    def play(self, chunk: AVChunk) -> None:
        self.played.append(chunk)

    def heard(self, turn: int) -> Heard:
        return Heard(turn, self.heard_tokens, 5)


def speak(session: CallSession) -> None:
    """The caller says something and stops."""
    for kind, at_us in (("started", 200_000), ("paused", 900_000), ("ended", 1_200_000)):
        session.turn_event(TurnEvent(kind, at_us, at_us - 100_000))  # type: ignore[arg-type]


def delta(session: CallSession, text: str, first_token: int, epoch: int = 0) -> TextDelta:
    return TextDelta(
        session_id=CALL,
        epoch=epoch or session.epoch,
        turn=session.turn,
        text=text,
        first_token=first_token,
    )


def end(session: CallSession, tokens: int, reason: str = "completed") -> TurnEnd:
    return TurnEnd.model_validate(
        {
            "session_id": CALL,
            "epoch": session.epoch,
            "turn": session.turn,
            "audio_tokens": tokens,
            "reason": reason,
        }
    )


def show(session: CallSession, chunk: AVChunk) -> None:
    """Every frame of a chunk is shown."""
    for offset in range(0, 7680, 960):
        session.shown(Block(chunk, offset))
