"""Both engines of a call: what is done when they come, go, speak out of turn or owe a chunk."""

from typing import Any

import pytest

from proto.messages import Failure, Grant, Interrupt, SessionReady, SetMood
from services.room_agent.engine_desk import ENGINE_AWAY, EngineDesk
from services.room_agent.engine_link import LinkState
from services.room_agent.own_mood import OwnMood
from tests.unit.services.room_agent.fake_call import CALL, JOB, FakeLine, av_chunk

pytestmark = pytest.mark.unit

OPEN, LOST, OPENING = LinkState.OPEN, LinkState.LOST, LinkState.OPENING


class Around:
    """All that stands around the desk: conversation, playout, detector, sight and attributes."""

    def __init__(self) -> None:
        self.id, self.epoch, self.expects_speech = CALL, 3, False
        self.chunks_ahead, self.ahead_us = 0, 0
        self.thinker, self.actor = FakeLine(), FakeLine()
        self.happened: list[str] = []
        self.shown: dict[str, str] = {}
        self.has_eyes = False
        self.accepted = True

    def __getattr__(self, event: str) -> Any:
        return lambda *_: self.happened.append(event)

    def accepts(self, _: object) -> bool:
        return self.accepted

    def before(self, _: object) -> None:
        return None

    def set(self, name: str, value: str) -> None:
        self.shown[name] = value


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
async def desk(around: Any) -> EngineDesk:
    return EngineDesk(
        lambda *_: around,
        around,
        around,
        detector=around,
        sight=around,
        attributes=around,
        mood=OwnMood(JOB),
    )


def granted(around: Around) -> list[int]:
    return [message.credit for message in around.actor.said if isinstance(message, Grant)]


async def test_an_actor_that_is_open_is_told_how_much_it_may_make(
    around: Around, desk: EngineDesk
) -> None:
    desk.grant()
    assert granted(around) == [], "it would not hear"
    desk.actor_state(OPEN)
    assert granted(around) == [1]
    desk.grant()
    assert granted(around) == [1], "it owes that one"
    desk.actor_said(av_chunk(0, epoch=3))
    assert granted(around) == [1, 1]


async def test_a_chunk_from_before_an_interrupt_pays_no_debt(
    around: Around, desk: EngineDesk
) -> None:
    desk.actor_state(OPEN)
    around.accepted = False
    desk.actor_said(av_chunk(0))
    assert granted(around) == [1]
    assert "actor_said" not in around.happened
    around.accepted = True
    desk.actor_said(Failure(session_id=CALL, code="late", message="No.", retryable=True))
    assert "actor_said" in around.happened
    assert granted(around) == [1], "no chunk came"


async def test_an_interrupt_takes_credit_back_and_grants_anew(
    around: Around, desk: EngineDesk
) -> None:
    desk.actor_state(OPEN)
    desk.to_actor(Interrupt(session_id=CALL, epoch=4, turn=1, heard_tokens=0, last_shown_chunk=-1))
    assert [type(message) for message in around.actor.said] == [
        SetMood,
        Grant,
        Interrupt,
        Grant,
    ]


async def test_an_actor_that_owes_a_chunk_for_long_is_lost(
    around: Around, desk: EngineDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = 1_000_000
    monkeypatch.setattr("services.room_agent.engine_desk.call_us", lambda: now_us)
    desk.actor_state(OPEN)
    now_us += 2_900_000
    desk.check_actor(3.0)
    assert around.actor.lost == []
    now_us += 200_000
    desk.check_actor(3.0)
    assert around.actor.lost == ["no chunk came"]


async def test_the_labels_of_a_thinker_are_shown_as_far_as_it_has_any(
    around: Around, desk: EngineDesk
) -> None:
    desk.thinker_said(SessionReady(session_id=CALL, engine="thinker", labels={"brain": "parrot"}))
    assert around.shown == {"xs.brain": "parrot"}
    assert not around.has_eyes
    labels = {"brain": "parrot", "eyes": "owl", "anything": "else"}
    desk.thinker_said(SessionReady(session_id=CALL, engine="thinker", labels=labels))
    assert around.shown == {"xs.brain": "parrot", "xs.eyes": "owl"}
    assert around.has_eyes


async def test_a_thinker_is_waited_for_only_while_it_is_away(
    around: Around, desk: EngineDesk
) -> None:
    desk.thinker_state(OPEN)
    assert desk.thinker_open.is_set()
    desk.thinker_state(LOST)
    assert not desk.thinker_open.is_set()
    assert around.happened == ["reset", "go_on", "reset", "thinker_lost"]


async def test_what_is_away_is_said_until_it_is_back_and_then_the_call_goes_on(
    around: Around, desk: EngineDesk
) -> None:
    desk.thinker_state(OPEN)
    around.happened.clear()
    desk.thinker_state(LOST)
    desk.actor_state(LOST)
    assert around.shown["xs.error"] == ENGINE_AWAY["actor"]
    desk.actor_state(OPENING)
    assert around.shown["xs.error"] == ENGINE_AWAY["actor"]
    desk.actor_state(OPEN)
    assert around.shown["xs.error"] == ENGINE_AWAY["thinker"]
    assert "go_on" not in around.happened
    desk.thinker_state(OPEN)
    assert around.shown["xs.error"] == ""
    assert around.happened[-1] == "go_on"
