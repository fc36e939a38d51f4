"""The conversation law: epochs, stale messages, empty replies."""

import pytest

from proto.messages import (
    Failure,
    Interrupt,
    Transcript,
    TurnBoundary,
    TurnEnd,
    TurnState,
    UserText,
)
from services.room_agent.call_ports import Phase
from services.room_agent.call_session import CallSession
from services.room_agent.turn_detector import TurnEvent
from tests.unit.services.room_agent.fake_call import CALL, av_chunk
from tests.unit.services.room_agent.session_scene import Ports, delta, end, show, speak

pytestmark = pytest.mark.unit


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


async def test_words_that_are_known_late_were_said_before_those_that_were_typed(
    session: CallSession, ports: Ports
) -> None:
    speak(session)
    session.typed("And in Spain?")
    session.thinker_said(Transcript(session_id=CALL, turn=1, text="In France?", final=True))
    said = [turn.text for turn in ports.remembered[-1].said]
    assert said == ["In France?", "And in Spain?"]


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


async def test_a_caller_who_goes_on_after_a_pause_is_heard_further(
    session: CallSession, ports: Ports
) -> None:
    for kind, at_us in (("started", 200_000), ("paused", 900_000), ("resumed", 1_000_000)):
        session.turn_event(TurnEvent(kind, at_us, at_us - 100_000))  # type: ignore[arg-type]
    boundaries = [(m.phase, m.turn) for m in ports.thinker if isinstance(m, TurnBoundary)]
    assert boundaries == [("started", 1), ("paused", 1), ("started", 1)]
    assert not session.busy


async def test_a_failure_of_the_actor_is_told_and_counted(
    session: CallSession, ports: Ports
) -> None:
    why = Failure(session_id=CALL, code="speech_refused", message="Say it again.", retryable=True)
    session.actor_said(why)
    assert ports.notices == ["Say it again."]
    assert ports.failures == ["speech_refused"]


async def test_words_after_the_last_sound_are_shown_when_the_reply_is_over(
    session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    session.thinker_said(delta(session, "Hello ", 0))
    session.thinker_said(delta(session, "you.", 9))
    session.thinker_said(end(session, 4))
    show(session, av_chunk(4, epoch=1, turn=1, tokens=4, last=True))
    assert ports.words == ["reply 1: Hello ", "reply 1: you."]
    assert session.history[-1].text == "Hello you."


@pytest.mark.parametrize(("began", "notices"), [(False, 1), (True, 0)])
async def test_a_reply_to_which_nothing_happens_is_given_up(
    began: bool, notices: int, session: CallSession, ports: Ports
) -> None:
    session.typed("One")
    if began:
        show(session, av_chunk(4, epoch=1, turn=1, tokens=4))
    session.check_reply(60_000_000)
    assert session.busy
    session.check_reply(-1)
    assert not session.busy
    assert ports.phases[-1] is Phase.LISTENING
    assert len(ports.notices) == notices, "who heard a part of it knows"
    assert [report.outcome for report in ports.reports] == ["failed"]
