"""Replies of several calls at one decoder: whose turn it is, and what an interrupt undoes."""

import pytest

from actor_server.errors import SpeechRefused
from actor_server.speech.engine import SpeechEngine
from proto.messages import HiddenChunk, Interrupt
from tests.unit.actor_server.speech.spelling import SpellingDecoder, coded, coded_parts

pytestmark = pytest.mark.unit

LONG = [200] * 60


def stop(epoch: int, session_id: str = "s") -> Interrupt:
    return Interrupt(
        session_id=session_id, epoch=epoch, turn=1, heard_tokens=0, last_shown_chunk=-1
    )


def drain(engine: SpeechEngine, steps: int = 1000) -> list[HiddenChunk]:
    """What comes of so many steps."""
    parts = []
    for _ in range(steps):
        if (session_id := engine.next_session()) is None:
            break
        parts += engine.step(session_id)
    return parts


def test_who_has_heard_least_comes_first() -> None:
    engine = SpeechEngine(SpellingDecoder())
    engine.deliver(coded(LONG, session_id="early", final=True))
    drain(engine, steps=3)
    engine.deliver(coded(LONG, session_id="late", final=True))
    parts = drain(engine)
    order = [part.session_id for part in parts]
    assert order[:2] == ["late", "late"]
    assert {part.session_id for part in parts if part.final} == {"early", "late"}


def test_an_interrupt_voids_the_reply_and_what_still_comes_of_it() -> None:
    engine = SpeechEngine(SpellingDecoder())
    first, *rest = coded_parts(LONG, [30])
    engine.deliver(first)
    drain(engine, steps=2)
    engine.deliver(stop(2))
    assert engine.next_session() is None
    for part in rest:
        engine.deliver(part)
    assert engine.next_session() is None


def test_an_older_interrupt_changes_nothing() -> None:
    engine = SpeechEngine(SpellingDecoder())
    engine.deliver(coded(LONG, epoch=3, final=True))
    engine.deliver(stop(2))
    assert sum(part.audio_tokens for part in drain(engine)) == len(LONG)


def test_a_reply_of_a_higher_epoch_replaces_the_one_before() -> None:
    decoder = SpellingDecoder()
    engine = SpeechEngine(decoder)
    engine.deliver(coded(LONG, epoch=1))
    drain(engine, steps=1)
    engine.deliver(coded([300] * 20, epoch=2, turn=2, final=True))
    parts = drain(engine)
    assert {(part.epoch, part.turn) for part in parts} == {(2, 2)}
    assert (parts[0].first_token, parts[-1].final) == (0, True)
    assert len(decoder.streams) == 2


def test_a_part_that_does_not_fit_leaves_the_reply_as_it_was() -> None:
    engine = SpeechEngine(SpellingDecoder())
    first, rest = coded_parts(LONG, [20])
    engine.deliver(first)
    with pytest.raises(SpeechRefused):
        engine.deliver(coded([1], first_token=50))
    engine.deliver(rest)
    assert sum(part.audio_tokens for part in drain(engine)) == len(LONG)


def test_a_reply_that_is_given_up_ends_where_it_was_heard() -> None:
    engine = SpeechEngine(SpellingDecoder())
    engine.deliver(coded([200] * 30))
    spoken = sum(part.audio_tokens for part in drain(engine))
    ending = engine.break_off("s")
    assert ending is not None
    assert (ending.first_token, ending.audio_tokens, ending.final) == (spoken, 0, True)
    assert engine.next_session() is None
    assert engine.break_off("s") is None


def test_a_closed_call_is_forgotten() -> None:
    engine = SpeechEngine(SpellingDecoder())
    engine.deliver(coded(LONG, final=True))
    engine.close("s")
    engine.close("s")
    assert engine.next_session() is None
    assert engine.break_off("s") is None
