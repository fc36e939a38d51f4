"""After a loss: what is asked again, what is apologised for, what another agent goes on with."""

import pytest

from proto.messages import Interrupt, Transcript, UserText
from services.room_agent.call_ports import Phase
from services.room_agent.call_session import CallSession
from services.room_agent.conversation import MAX_NAME_CHARACTERS, MAX_NAMES, MAX_TURNS
from services.room_agent.owed import CUT_OFF, MAX_ASKED_AGAIN, UNHEARD
from tests.unit.services.room_agent.fake_call import CALL, av_chunk
from tests.unit.services.room_agent.session_scene import Ports, delta, end, show, speak

pytestmark = pytest.mark.unit


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
    assert [turn.text for turn in ports.remembered[-1].said] == ["What time is it?"]


@pytest.mark.parametrize("known", ["before", "late"])
async def test_a_cough_does_not_forget_what_is_owed(
    session: CallSession, ports: Ports, known: str
) -> None:
    speak(session)
    if known == "before":
        heard_as(session, "What time is it?")
    speak(session)  # it cuts the answer off
    if known == "late":
        late = Transcript(session_id=CALL, turn=1, text="What time is it?", final=True)
        session.thinker_said(late)
    heard_as(session, "")
    assert ports.remembered[-1].asked
    session.actor_lost()
    session.go_on()
    assert asked(ports) == [("What time is it?", 2, session.epoch)]
    show(session, av_chunk(5, epoch=session.epoch, turn=2, tokens=4))
    speak(session)
    heard_as(session, "")
    session.actor_lost()
    session.go_on()
    assert len(asked(ports)) == 1, "its answer has sounded"


async def test_questions_that_are_known_late_stay_in_order(
    session: CallSession, ports: Ports
) -> None:
    speak(session)
    heard_as(session, "First?")
    speak(session)
    speak(session)
    session.thinker_said(Transcript(session_id=CALL, turn=2, text="Second?", final=True))
    heard_as(session, "Third?")
    assert [turn.text for turn in ports.remembered[-1].said] == ["First?", "Second?", "Third?"]


async def test_what_is_typed_while_the_thinker_is_away_is_told_once(
    session: CallSession, ports: Ports
) -> None:
    """As a question when it is back, and not as what was said before, too."""
    session.typed("One")
    session.thinker_said(delta(session, "Well.", 0))
    session.thinker_said(end(session, 4))
    show(session, av_chunk(4, epoch=1, turn=1, tokens=4, last=True))
    session.thinker_lost()
    session.typed("Two")
    assert [turn.text for turn in session.history] == ["One", "Well."]
    session.go_on()
    assert asked(ports)[-1] == ("Two", 2, session.epoch)
    session.thinker_said(delta(session, "Yes.", 0))
    show(session, av_chunk(5, epoch=session.epoch, turn=2, tokens=4))
    assert [turn.text for turn in session.history] == ["One", "Well.", "Two"], "it is answered"


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


async def test_who_takes_over_knows_which_messages_were_read(ports: Ports) -> None:
    first = CallSession(CALL, ports)
    first.typed("I am Ada.", "message 1")
    first.typed("Hello")
    second = CallSession(CALL, ports, ports.remembered[-1])
    assert not second.typed("I am Ada.", "message 1")
    assert second.typed("I am Ada.", "message 2")
    assert second.typed("Hello"), "messages without a name are all different"
    assert second.turn == 4


async def test_what_is_remembered_is_bounded(session: CallSession, ports: Ports) -> None:
    for number in range(100):
        session.typed(f"{number} " + "x" * 5_000, f"{number}".rjust(MAX_NAME_CHARACTERS))
    kept = ports.remembered[-1]
    assert kept.read[-1].strip() == "99"
    assert len(kept.read) == MAX_NAMES
    assert len(kept.said) == MAX_TURNS
    assert kept.said[-1].text.startswith("99 ")
    assert len(kept.model_dump_json()) < 32_000
