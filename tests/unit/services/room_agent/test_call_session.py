"""The conversation law: epochs, stale messages, empty replies, engines that come back."""

import pytest

from proto.message import Message
from proto.messages import (
    AVChunk,
    Failure,
    Interrupt,
    TextDelta,
    Transcript,
    TurnBoundary,
    TurnEnd,
    TurnState,
    UserText,
)
from services.room_agent.call_ports import Phase
from services.room_agent.call_session import CUT_OFF, MAX_ASKED_AGAIN, UNHEARD, CallSession
from services.room_agent.conversation import MAX_TURNS, Conversation
from services.room_agent.playhead import Block, Heard
from services.room_agent.turn_detector import TurnEvent
from services.room_agent.turn_timing import TurnTiming
from tests.unit.services.room_agent.fake_call import CALL, av_chunk

pytestmark = pytest.mark.unit


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


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def session(ports: Ports) -> CallSession:
    return CallSession(CALL, ports)


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


async def test_the_epoch_rises_at_the_start_of_a_reply_and_at_an_interrupt(
    session: CallSession, ports: Ports
) -> None:
    speak(session)
    boundaries = [(m.phase, m.turn, m.epoch) for m in ports.thinker if isinstance(m, TurnBoundary)]
    assert boundaries == [("started", 1, 0), ("paused", 1, 0), ("ended", 1, 1)]
    ports.heard_tokens = 11
    session.turn_event(TurnEvent("started", 3_000_000, 2_800_000))
    interrupt, boundary = ports.thinker[-2:]
    assert isinstance(interrupt, Interrupt)
    assert (interrupt.epoch, interrupt.turn, interrupt.heard_tokens) == (2, 1, 11)
    assert interrupt.last_shown_chunk == 5
    assert ports.actor == [interrupt]
    assert isinstance(boundary, TurnBoundary)
    assert (boundary.turn, boundary.epoch) == (2, 2)
    assert ports.drops == 1


async def test_typing_over_a_reply_raises_the_epoch_twice(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.typed("Two")
    kinds = [(type(m).__name__, m.epoch) for m in ports.thinker]
    assert kinds == [("UserText", 1), ("Interrupt", 2), ("UserText", 3)]
    assert isinstance(ports.thinker[-1], UserText)
    assert ports.thinker[-1].turn == 2


async def test_words_of_a_cut_reply_are_ignored(session: CallSession, ports: Ports) -> None:
    session.typed("One")
    stale = delta(session, "too late", 0)
    session.typed("Two")
    session.thinker_said(stale)
    session.thinker_said(delta(session, "in time", 0))
    show(session, av_chunk(9, epoch=3, turn=2, tokens=4))
    assert ports.words == ["reply 2: in time"]


async def test_chunks_from_before_an_interrupt_are_refused(session: CallSession) -> None:
    session.typed("One")
    assert session.accepts(av_chunk(3, epoch=0))
    session.interrupt()
    assert not session.accepts(av_chunk(4, epoch=1, turn=1, tokens=4))
    assert session.accepts(av_chunk(5, epoch=2))


async def test_the_first_word_does_not_wait_behind_idle_face(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.actor_said(av_chunk(3, epoch=1))
    assert ports.drops == 0
    session.actor_said(av_chunk(4, epoch=1, turn=1, tokens=4))
    session.actor_said(av_chunk(5, epoch=1, turn=1, first_token=4, tokens=4))
    assert ports.drops == 1
    assert [chunk.chunk for chunk in ports.played] == [3, 4, 5]


async def test_speech_is_expected_from_its_announcement_to_its_last_chunk(
    session: CallSession,
) -> None:
    session.typed("One")
    assert not session.expects_speech
    session.thinker_said(TurnState(session_id=CALL, epoch=session.epoch, turn=1, state="speaking"))
    assert session.expects_speech
    session.actor_said(av_chunk(4, epoch=1, turn=1, tokens=4))
    assert session.expects_speech
    session.actor_said(av_chunk(5, epoch=1, turn=1, first_token=4, tokens=2, last=True))
    assert not session.expects_speech


async def test_a_reply_is_over_when_its_last_token_sounds(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.thinker_said(delta(session, "Hello ", 0))
    session.thinker_said(delta(session, "you.", 5))
    session.thinker_said(end(session, 6))
    show(session, av_chunk(4, epoch=1, turn=1, tokens=4))
    assert ports.phases[-1] is Phase.SPEAKING
    show(session, av_chunk(5, epoch=1, turn=1, first_token=4, tokens=2, last=True))
    assert ports.phases[-1] is Phase.LISTENING
    assert ports.words == ["reply 1: Hello ", "reply 1: you."]
    assert ports.ended == [1]
    assert ports.reports[0].heard_tokens == 6
    assert [(turn.role, turn.text) for turn in session.history] == [
        ("user", "One"),
        ("assistant", "Hello you."),
    ]


async def test_a_last_mark_without_speech_ends_the_reply_too(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    show(session, av_chunk(4, epoch=1, turn=1, tokens=4))
    show(session, av_chunk(5, epoch=1, turn=1, first_token=4, tokens=0, last=True))
    assert ports.phases[-1] is Phase.LISTENING
    assert not session.busy


async def test_nothing_understood_means_listening_again(session: CallSession, ports: Ports) -> None:
    speak(session)
    session.thinker_said(end(session, 0, "empty"))
    assert ports.phases[-1] is Phase.LISTENING
    assert not session.busy
    assert ports.notices == []


async def test_a_failed_reply_is_told_to_the_caller(session: CallSession, ports: Ports) -> None:
    speak(session)
    session.thinker_said(end(session, 0, "failed"))
    assert "again" in ports.notices[0]
    failure = Failure(session_id=CALL, code="brain_unavailable", message="No.", retryable=True)
    session.thinker_said(failure)
    assert ports.notices[-1] == "No."
    session.typed("Again")
    assert ports.notices[-1] == ""
    session.typed("And again")
    assert len(ports.notices) == 3


async def test_a_new_actor_session_learns_which_epoch_it_is(
    session: CallSession, ports: Ports
) -> None:
    session.actor_is_new()
    assert ports.actor == []
    session.typed("One")
    session.actor_is_new()
    (interrupt,) = ports.actor
    assert isinstance(interrupt, Interrupt)
    assert (interrupt.epoch, interrupt.last_shown_chunk) == (session.epoch, -1)


async def test_only_final_words_of_the_caller_are_history(session: CallSession) -> None:
    for text, final in (("what", False), ("what time", False), ("what time is it", True)):
        session.thinker_said(Transcript(session_id=CALL, turn=1, text=text, final=final))
    assert [turn.text for turn in session.history] == ["what time is it"]


def heard_as(session: CallSession, text: str) -> None:
    session.thinker_said(Transcript(session_id=CALL, turn=session.turn, text=text, final=True))


def asked(ports: Ports) -> list[tuple[str, int, int]]:
    """What was put to the Thinker as text."""
    return [(m.text, m.turn, m.epoch) for m in ports.thinker if isinstance(m, UserText)]


async def test_a_thinker_that_comes_back_is_asked_again(session: CallSession, ports: Ports) -> None:
    speak(session)
    heard_as(session, "What time is it?")
    session.thinker_lost()
    assert session.phase is Phase.THINKING
    assert session.history == []
    session.go_on()
    assert asked(ports) == [("What time is it?", 1, session.epoch)]
    assert session.busy
    assert ports.notices == []
    session.go_on()
    assert len(asked(ports)) == 2, "that one was pending, too"
    assert [turn.text for turn in session.history] == ["What time is it?"]


async def test_a_question_of_which_engines_die_is_given_up(
    session: CallSession, ports: Ports
) -> None:
    speak(session)
    heard_as(session, "What is 2 to the power of 128?")
    for _ in range(5):
        session.thinker_lost()
        session.go_on()
    assert len(asked(ports)) == MAX_ASKED_AGAIN
    assert ports.notices[-1] == UNHEARD
    assert not session.busy
    speak(session)
    heard_as(session, "And of 2?")
    session.thinker_lost()
    session.go_on()
    assert asked(ports)[-1][0] == "And of 2?"


async def test_words_that_are_known_late_were_said_before_those_that_were_typed(
    session: CallSession,
) -> None:
    speak(session)
    session.typed("And in Spain?")
    session.thinker_said(Transcript(session_id=CALL, turn=1, text="In France?", final=True))
    assert [turn.text for turn in session.history] == ["In France?", "And in Spain?"]


async def test_the_engines_own_words_are_not_replaced(session: CallSession, ports: Ports) -> None:
    speak(session)
    why = Failure(session_id=CALL, code="reply_failed", message="Ask differently.", retryable=True)
    session.thinker_said(why)
    end = TurnEnd(session_id=CALL, epoch=session.epoch, turn=1, audio_tokens=0, reason="failed")
    session.thinker_said(end)
    assert ports.notices == ["Ask differently."]


async def test_what_is_heard_late_was_said_earlier(session: CallSession, ports: Ports) -> None:
    session.behind_us = 3_000_000
    speak(session)
    assert session.reply is not None
    late_us = session.reply.timing.ended_us - session.reply.timing.voice_end_us
    assert late_us >= 3_000_000


async def test_a_question_that_nobody_understood_is_asked_for_again(
    session: CallSession, ports: Ports
) -> None:
    speak(session)
    session.thinker_lost()
    session.go_on()
    assert asked(ports) == []
    assert ports.notices == [UNHEARD]
    assert session.phase is Phase.LISTENING
    speak(session)
    assert ports.notices[-1] == ""


async def test_an_answer_that_broke_off_is_apologised_for_and_not_begun_again(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.thinker_said(delta(session, "Well, ", 0))
    show(session, av_chunk(4, epoch=1, turn=1, tokens=4))
    session.thinker_lost()
    assert session.phase is Phase.LISTENING
    session.go_on()
    assert ports.notices == [CUT_OFF]
    assert len(asked(ports)) == 1
    assert [turn.text for turn in session.history] == ["One", "Well, "]
    assert [report.outcome for report in ports.reports] == ["failed"]


async def test_an_answer_that_was_thought_to_its_end_is_said_to_its_end(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.thinker_said(end(session, 6))
    session.thinker_lost()
    session.go_on()
    show(session, av_chunk(4, epoch=1, turn=1, tokens=4))
    session.thinker_lost()
    session.go_on()
    show(session, av_chunk(5, epoch=1, turn=1, first_token=4, tokens=2, last=True))
    assert len(asked(ports)) == 1
    assert [report.outcome for report in ports.reports] == ["completed"]
    assert ports.notices == []


async def test_without_its_actor_no_answer_goes_on(session: CallSession, ports: Ports) -> None:
    session.typed("One")
    session.thinker_said(end(session, 6))
    session.actor_lost()
    assert isinstance(ports.thinker[-1], Interrupt)
    session.go_on()
    assert [text for text, *_ in asked(ports)] == ["One", "One"]
    assert session.epoch == 3


async def test_a_new_question_is_worth_more_than_one_that_is_owed(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.thinker_lost()
    session.typed("Two")
    session.go_on()
    assert [(text, turn) for text, turn, _ in asked(ports)] == [("One", 1), ("Two", 2), ("Two", 2)]


async def test_who_takes_over_goes_on_where_the_dead_agent_was(ports: Ports) -> None:
    first = CallSession(CALL, ports)
    first.typed("I am Ada.")
    first.thinker_said(delta(first, "Hello Ada.", 0))
    first.thinker_said(end(first, 2))
    show(first, av_chunk(4, epoch=1, turn=1, tokens=2, last=True))
    second = CallSession(CALL, ports, ports.remembered[-1])
    assert (second.turn, second.history) == (1, first.history)
    assert second.epoch > first.epoch
    second.go_on()
    assert len(asked(ports)) == 1, "nothing was asked"
    assert ports.notices == [UNHEARD], "but something may have been said"
    second.typed("Who am I?")
    assert second.turn == 2


async def test_who_takes_over_answers_what_was_asked(ports: Ports) -> None:
    first = CallSession(CALL, ports)
    first.typed("Who am I?")
    second = CallSession(CALL, ports, ports.remembered[-1])
    assert second.history == []
    second.go_on()
    assert asked(ports)[-1] == ("Who am I?", 1, second.epoch)


async def test_who_takes_over_does_not_begin_an_answer_again(ports: Ports) -> None:
    first = CallSession(CALL, ports)
    first.typed("Who am I?")
    first.thinker_said(delta(first, "You are Ada.", 0))
    show(first, av_chunk(4, epoch=1, turn=1, tokens=2))
    second = CallSession(CALL, ports, ports.remembered[-1])
    second.go_on()
    assert len(asked(ports)) == 1
    assert ports.notices == [UNHEARD]


async def test_what_is_remembered_is_bounded(session: CallSession, ports: Ports) -> None:
    for number in range(100):
        session.typed(f"{number} " + "x" * 5_000)
    kept = ports.remembered[-1]
    assert len(kept.said) == MAX_TURNS
    assert kept.said[-1].text.startswith("99 ")
    assert len(kept.model_dump_json()) < 32_000
