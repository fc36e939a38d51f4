"""A session that looks: which question a frame belongs to, and how long an answer waits."""

import pytest

from proto.messages import Failure, TurnEnd, UserFrame, UserText
from tests.unit.thinker_server.doubles import ScriptedConversation, Wired, wired_session
from tests.unit.thinker_server.seeing.doubles import FRAME, ScriptedEyes
from thinker_server.errors import EyesUnavailable
from thinker_server.seeing.glance import Sight

pytestmark = pytest.mark.unit

SEEN = "(You see me through my camera: A red wall.) "
PATIENT_S = 60.0


def show(wired: Wired, frame: UserFrame | None = None) -> None:
    wired.session.receive(frame or UserFrame(session_id="s", pts_us=0, jpeg=FRAME))


def seeing(words: str = "A red wall. More.", error: Exception | None = None) -> ScriptedEyes:
    eyes = ScriptedEyes(words, error)
    eyes.open.set()
    return eyes


async def test_a_spoken_question_is_asked_with_what_the_camera_shows() -> None:
    conversation = ScriptedConversation(["Red."])
    sight = Sight(seeing(), PATIENT_S)
    async with wired_session(conversation, ["Which colour?"], sight=sight) as wired:
        wired.talk(1)
        show(wired)
        wired.boundary("paused", 1, epoch=0)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TurnEnd)
    assert conversation.prompts[0][-1].text == SEEN + "Which colour?"


async def test_a_typed_question_too_and_the_next_one_without_a_frame_sees_nothing_new() -> None:
    conversation = ScriptedConversation(["Red.", "Yes."])
    async with wired_session(conversation, [""], sight=Sight(seeing(), PATIENT_S)) as wired:
        show(wired)
        wired.session.receive(UserText(session_id="s", epoch=1, turn=1, text="Which colour?"))
        await wired.until(TurnEnd)
        wired.session.receive(UserText(session_id="s", epoch=2, turn=2, text="Sure?"))
        await wired.until(TurnEnd, 2)
    assert [m.text for m in conversation.prompts[1] if m.role == "user"] == [
        SEEN + "Which colour?",
        "Sure?",
    ]


async def test_an_answer_does_not_wait_for_eyes_that_take_too_long() -> None:
    conversation = ScriptedConversation(["I cannot tell."])
    slow = ScriptedEyes()
    async with wired_session(conversation, ["Which colour?"], sight=Sight(slow, 0.05)) as wired:
        wired.talk(1)
        show(wired)
        wired.boundary("ended", 1, epoch=1)
        end = await wired.until(TurnEnd)
        slow.open.set()
    assert isinstance(end, TurnEnd)
    assert end.reason == "completed"
    assert slow.sizes == [(64, 36)], "it did look"
    assert conversation.prompts[0][-1].text == "Which colour?"


async def test_what_was_seen_in_a_pause_is_forgotten_when_the_caller_goes_on() -> None:
    conversation = ScriptedConversation(["One.", "Two."])
    async with wired_session(conversation, ["Which?"], sight=Sight(seeing(), PATIENT_S)) as wired:
        wired.talk(1)
        show(wired)
        wired.boundary("paused", 1, epoch=0)
        await wired.until_prompted()
        wired.boundary("started", 1, epoch=0)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TurnEnd)
    assert conversation.prompts[-1][-1].text == "Which?"


@pytest.mark.parametrize("broken", ["eyes", "frame"])
async def test_trouble_with_seeing_is_told_and_the_answer_comes_all_the_same(broken: str) -> None:
    conversation = ScriptedConversation(["I cannot tell."])
    eyes = seeing(error=EyesUnavailable("start the server") if broken == "eyes" else None)
    bad = FRAME[:40] if broken == "frame" else FRAME
    async with wired_session(conversation, ["Which?"], sight=Sight(eyes, PATIENT_S)) as wired:
        wired.talk(1)
        show(wired, UserFrame(session_id="s", pts_us=0, jpeg=bad))
        wired.boundary("ended", 1, epoch=1)
        end = await wired.until(TurnEnd)
        told = await wired.until(Failure)
    assert isinstance(end, TurnEnd)
    assert isinstance(told, Failure)
    assert end.reason == "completed"
    assert told.code == {"eyes": "eyes_unavailable", "frame": "picture_refused"}[broken]


async def test_a_thinker_without_eyes_ignores_frames() -> None:
    conversation = ScriptedConversation(["Hello."])
    async with wired_session(conversation, ["Which?"]) as wired:
        wired.talk(1)
        show(wired)
        wired.boundary("ended", 1, epoch=1)
        await wired.until(TurnEnd)
    assert conversation.prompts[0][-1].text == "Which?"
