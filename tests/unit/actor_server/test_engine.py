"""The engine and its thread: whose turn it is, fairness, and faults that stay in their session."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from actor_server.callers import Caller
from actor_server.engine import ActorEngine
from actor_server.errors import SessionExists, SessionLimit
from actor_server.motion.procedural import ProceduralMotion
from actor_server.render_thread import INBOX_SIZE, Close, Deliver, Open, RenderThread
from actor_server.saving import Saving
from actor_server.session import Pacing
from proto.message import Message
from proto.messages import AVChunk, Failure, Grant, HiddenChunk, SessionReady
from proto.time_law import CHUNK_US
from tests.unit.actor_server.conditions import reply
from tests.unit.actor_server.faces import SketchFace

pytestmark = pytest.mark.unit

MOTION = ProceduralMotion()
PROMPT = Pacing(idle_hold_us=0, underrun_hold_us=0)


def engine(max_sessions: int = 4) -> ActorEngine:
    return ActorEngine(MOTION, PROMPT, max_sessions, savings=(Saving.HALF_RATE,))


def grant(session_id: str, credit: int = 1) -> Grant:
    return Grant(session_id=session_id, credit=credit)


def test_nothing_to_do_without_credit() -> None:
    busy = engine()
    busy.open("a", SketchFace(), 1)
    assert busy.next_turn(0) is None


def test_sessions_with_a_burst_of_credit_do_not_starve_others() -> None:
    busy = engine()
    for name in ("greedy", "modest"):
        busy.open(name, SketchFace(), 1)
    busy.deliver("greedy", grant("greedy", 30), 0)
    order = []
    for step in range(12):
        now_us = step * 160_000
        if step % 2 == 0:
            busy.deliver("modest", grant("modest"), now_us)
        turn = busy.next_turn(now_us)
        assert turn is not None
        busy.step(turn.session_id, now_us)
        order.append(turn.session_id)
    assert order.count("modest") == 6


def test_a_full_engine_and_a_known_session_are_refused() -> None:
    busy = engine(max_sessions=1)
    busy.open("a", SketchFace(), 1)
    with pytest.raises(SessionExists):
        busy.open("a", SketchFace(), 1)
    with pytest.raises(SessionLimit, match="max_sessions"):
        busy.open("b", SketchFace(), 1)
    busy.close("a")
    busy.open("b", SketchFace(), 1)


def test_load_is_work_time_per_media_time() -> None:
    busy = engine()
    assert busy.load().real_time_factor == 0.0
    busy.record_work("a", 32_000, made=True)
    busy.record_work("a", 60_000, made=False)
    busy.record_work("b", 50_000, made=False)
    busy.record_work("a", 36_000, made=True)
    assert busy.load().real_time_factor == pytest.approx(0.2)


def test_a_call_does_not_pay_for_the_load_of_calls_that_are_over() -> None:
    busy = engine()
    for name in ("a", "b"):
        busy.open(name, SketchFace(), 1)
    for _ in range(200):
        busy.record_work("a", 2 * CHUNK_US, made=True)
    assert busy.load().degradation is not Saving.NOTHING
    for name in ("a", "b"):
        busy.close(name)
    busy.open("c", SketchFace(), 1)
    for _ in range(8):
        busy.record_work("c", 10_000, made=True)
    assert busy.load().degradation is Saving.NOTHING


def opening(session_id: str, face: SketchFace) -> Open:
    return Open(Caller(session_id, b"agent", 0, 0), face, seed=1, epoch=0, labels={})


@dataclass
class Emitted:
    """What the rendering thread said, and a way to wait for it."""

    messages: list[tuple[Message, Caller | bytes]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def emit(self, message: Message, whom: Caller | bytes) -> None:
        with self.changed:
            self.messages.append((message, whom))
            self.changed.notify_all()

    def end(self, caller: Caller) -> None:
        with self.changed:
            self.ended.append(caller.session_id)
            self.changed.notify_all()

    def of(self, kind: type[Message], session_id: str) -> list[Message]:
        return [m for m, _ in self.messages if isinstance(m, kind) and m.session_id == session_id]

    def wait(self, kind: type[Message], session_id: str, count: int = 1) -> list[Message]:
        with self.changed:
            there = self.changed.wait_for(lambda: len(self.of(kind, session_id)) >= count, 5)
        assert there, f"{count} {kind.__name__} of {session_id} did not come: {self.messages}"
        return self.of(kind, session_id)


@pytest.fixture
def said() -> Emitted:
    return Emitted()


@pytest.fixture
def thread(said: Emitted) -> Iterator[RenderThread]:
    running = RenderThread(engine(), said.emit, said.end)
    running.start()
    yield running
    running.stop()
    assert not running.alive


def test_a_session_is_ready_and_makes_what_was_granted(thread: RenderThread, said: Emitted) -> None:
    thread.post(opening("a", SketchFace()))
    said.wait(SessionReady, "a")
    thread.post(Deliver(grant("a", 3), b"agent"))
    said.wait(AVChunk, "a", 3)
    thread.post(Close("a"))
    thread.post(Deliver(grant("a", 3), b"agent"))
    thread.post(opening("b", SketchFace()))
    said.wait(SessionReady, "b")
    assert len(said.of(AVChunk, "a")) == 3


def test_a_face_that_fails_ends_its_session_and_no_other(
    thread: RenderThread, said: Emitted
) -> None:
    thread.post(opening("good", SketchFace()))
    thread.post(opening("bad", SketchFace(broken=True)))
    thread.post(Deliver(grant("bad"), b"agent"))
    failure = said.wait(Failure, "bad")[0]
    assert isinstance(failure, Failure)
    assert failure.retryable
    assert failure.code == "actor_failed"
    thread.post(Deliver(grant("good", 2), b"agent"))
    said.wait(AVChunk, "good", 2)
    assert said.ended == ["bad"]


def test_refused_speech_is_answered_to_its_sender(thread: RenderThread, said: Emitted) -> None:
    thread.post(opening("a", SketchFace()))
    late: HiddenChunk = reply(session_id="a").model_copy(update={"first_token": 9})
    thread.post(Deliver(late, b"thinker"))
    said.wait(Failure, "a")
    assert [whom for message, whom in said.messages if isinstance(message, Failure)] == [b"thinker"]
    thread.post(Deliver(grant("a"), b"agent"))
    said.wait(AVChunk, "a")


def test_a_session_that_cannot_be_opened_costs_no_other(
    thread: RenderThread, said: Emitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = SketchFace()

    def cannot() -> None:
        raise MemoryError

    monkeypatch.setattr(face, "painter", cannot)
    thread.post(opening("broken", face))
    thread.post(opening("whole", SketchFace()))
    said.wait(SessionReady, "whole")
    failure = said.of(Failure, "broken")[0]
    assert isinstance(failure, Failure)
    assert failure.retryable
    assert said.ended == ["broken"]


def test_a_full_inbox_refuses_everything_but_what_frees_a_session() -> None:
    stuck = RenderThread(engine(), lambda *_: None, lambda _: None)
    while stuck.post(Deliver(grant("a"), b"agent")):
        pass
    assert stuck.waiting == INBOX_SIZE
    assert stuck.post(Close("a"))
    stuck.start()
    stuck.stop()
