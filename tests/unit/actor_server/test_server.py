"""The server on a real socket with faces that need no models."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from actor_server import render_thread
from actor_server.config import ActorConfig
from actor_server.metrics import STEPS
from actor_server.motion.procedural import ProceduralMotion
from actor_server.server import ActorServer
from proto.message import Message
from proto.messages import (
    AVChunk,
    CheckPortrait,
    CloseSession,
    EngineStatus,
    Failure,
    Grant,
    Interrupt,
    OpenActorSession,
    Ping,
    PortraitChecked,
    SessionReady,
    UserText,
)
from proto.wire.clock import stamped
from proto.wire.sockets import ClientSocket
from tests.unit.actor_server.conditions import reply
from tests.unit.actor_server.faces import SketchStudio, image

pytestmark = pytest.mark.unit

MOTION = ProceduralMotion()


@dataclasses.dataclass
class Desk:
    """A running server and its studio."""

    endpoint: str
    studio: SketchStudio


@asynccontextmanager
async def running(tmp_path: Path, **options: float) -> AsyncIterator[Desk]:
    endpoint = f"ipc://{tmp_path}/a"
    config = ActorConfig.model_validate(
        {"endpoint": endpoint, "idle_hold_ms": 0, "underrun_hold_ms": 0} | options
    )
    studio = SketchStudio()
    serving = asyncio.create_task(ActorServer(config, MOTION, studio).run())
    try:
        yield Desk(endpoint, studio)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running(tmp_path, max_sessions=2) as found:
        yield found


@pytest.fixture
async def agent(desk: Desk) -> AsyncIterator[ClientSocket]:
    async with ClientSocket(desk.endpoint) as socket:
        yield socket


async def answer(socket: ClientSocket) -> Message:
    async with asyncio.timeout(5):
        return await socket.recv()


async def ask(socket: ClientSocket, message: Message) -> Message:
    await socket.send(message)
    return await answer(socket)


def opening(session_id: str, portrait: str = "face 7") -> OpenActorSession:
    return OpenActorSession(session_id=session_id, portrait=image(portrait))


async def test_a_ping_is_answered_with_the_load(agent: ClientSocket) -> None:
    status = await ask(agent, Ping(session_id="p"))
    assert isinstance(status, EngineStatus)
    assert status.engine == "actor"
    assert status.sessions == 0
    assert status.labels == {"motion": "procedural", "face": "sketch"}


async def test_a_call_gets_its_face_and_its_speech(agent: ClientSocket) -> None:
    assert isinstance(await ask(agent, opening("a")), SessionReady)
    await agent.send(reply(session_id="a"))
    chunk = await ask(agent, Grant(session_id="a", credit=1))
    assert isinstance(chunk, AVChunk)
    assert chunk.audio_tokens == 4
    assert chunk.frames[0, 0, 0] == 7
    assert [stamp.name for stamp in chunk.stamps][-1] == "actor_decoded"


async def test_the_first_chunk_of_a_reply_tells_what_the_reply_came_through(
    agent: ClientSocket,
) -> None:
    await ask(agent, opening("a"))
    await agent.send(stamped(reply(session_id="a"), "first_token"))
    first = await ask(agent, Grant(session_id="a", credit=1))
    assert isinstance(first, AVChunk)
    names = ["first_token", "actor_received", "actor_entered", "actor_clean", "actor_decoded"]
    assert [stamp.name for stamp in first.stamps] == names
    moments = [stamp.at_us for stamp in first.stamps]
    assert moments == sorted(moments)
    second = await ask(agent, Grant(session_id="a", credit=1))
    assert isinstance(second, AVChunk)
    assert [stamp.name for stamp in second.stamps] == ["actor_decoded"]


async def test_speech_that_overtakes_the_opening_is_not_lost(
    desk: Desk, agent: ClientSocket
) -> None:
    async with ClientSocket(desk.endpoint) as thinker:
        await thinker.send(reply(session_id="a"))
        await ask(thinker, Ping(session_id="p"))  # the speech has arrived
        await agent.send(opening("a"))
        await agent.send(Grant(session_id="a", credit=1))
        assert isinstance(await answer(agent), SessionReady)
        chunk = await answer(agent)
        assert isinstance(chunk, AVChunk)
        assert chunk.audio_tokens == 4


async def test_grants_for_a_session_nobody_opened_are_answered(agent: ClientSocket) -> None:
    answer_ = await ask(agent, Grant(session_id="lost", credit=1))
    assert isinstance(answer_, Failure)
    assert (answer_.code, answer_.retryable) == ("session_unknown", True)


async def test_closing_and_opening_at_once_leaves_one_session(agent: ClientSocket) -> None:
    for _ in range(3):
        await agent.send(CloseSession(session_id="a"))
        await agent.send(opening("a", "face 9"))
    await agent.send(Grant(session_id="a", credit=1))
    answers = [await answer(agent)]
    while isinstance(answers[-1], SessionReady):
        answers.append(await answer(agent))
    assert 2 <= len(answers) <= 4
    assert isinstance(answers[-1], AVChunk)
    await agent.send(CloseSession(session_id="a"))
    status = await ask(agent, Ping(session_id="p"))
    assert isinstance(status, EngineStatus)
    assert status.sessions == 0


async def test_a_session_opened_late_begins_in_its_epoch(agent: ClientSocket) -> None:
    late = OpenActorSession(session_id="a", epoch=7, portrait=image("face 1"))
    assert isinstance(await ask(agent, late), SessionReady)
    chunk = await ask(agent, Grant(session_id="a", credit=1))
    assert isinstance(chunk, AVChunk)
    assert chunk.epoch == 7


async def test_a_checked_portrait_is_ready_before_it_is_called(
    desk: Desk, agent: ClientSocket
) -> None:
    checked = await ask(agent, CheckPortrait(session_id="c", image=image("face 3")))
    assert isinstance(checked, PortraitChecked)
    assert checked.crop is not None
    called = OpenActorSession(session_id="a", portrait=checked.crop)
    assert isinstance(await ask(agent, called), SessionReady)
    assert desk.studio.built == 1


async def test_chunks_go_to_the_agent_and_refusals_to_the_thinker(
    desk: Desk, agent: ClientSocket
) -> None:
    await ask(agent, opening("a"))
    async with ClientSocket(desk.endpoint) as thinker:
        bad = reply(session_id="a").model_copy(update={"first_token": 3})
        refusal = await ask(thinker, bad)
        assert isinstance(refusal, Failure)
        assert refusal.code == "speech_refused"
        await thinker.send(reply(session_id="a", epoch=2, turn=2))
        await ask(thinker, Ping(session_id="p"))
    chunk = await ask(agent, Grant(session_id="a", credit=1))
    assert isinstance(chunk, AVChunk)
    assert chunk.turn == 2


@pytest.mark.parametrize(
    ("portrait", "code"), [("landscape", "no_face"), ("crash", "actor_failed")]
)
async def test_a_portrait_that_cannot_be_used_is_a_failure_and_frees_the_place(
    agent: ClientSocket, portrait: str, code: str
) -> None:
    for _ in range(3):  # more often than there are places
        refusal = await ask(agent, opening("a", portrait))
        assert isinstance(refusal, Failure)
        assert refusal.code == code
        assert refusal.message
    assert isinstance(await ask(agent, opening("a")), SessionReady)


async def test_checks_are_answered_with_a_verdict(agent: ClientSocket) -> None:
    good = await ask(agent, CheckPortrait(session_id="c", image=image("face 1")))
    assert isinstance(good, PortraitChecked)
    assert good.code == "ok"
    assert good.crop is not None
    bad = await ask(agent, CheckPortrait(session_id="c", image=image("landscape")))
    assert isinstance(bad, PortraitChecked)
    assert (bad.code, bad.crop) == ("no_face", None)
    assert bad.hint


async def test_no_more_sessions_than_configured(agent: ClientSocket) -> None:
    await ask(agent, opening("a"))
    await ask(agent, opening("b"))
    full = await ask(agent, opening("c"))
    assert isinstance(full, Failure)
    assert (full.code, full.retryable) == ("busy", True)
    again = await ask(agent, opening("b"))
    assert isinstance(again, Failure)
    assert again.code == "session_exists"
    await agent.send(CloseSession(session_id="a"))
    assert isinstance(await ask(agent, opening("c")), SessionReady)


async def test_a_portrait_that_was_used_before_is_not_built_again(
    desk: Desk, agent: ClientSocket
) -> None:
    await ask(agent, opening("a"))
    await ask(agent, opening("b"))
    assert desk.studio.built == 1


async def test_a_decoder_that_fails_ends_its_call_only(agent: ClientSocket) -> None:
    await ask(agent, opening("a"))
    await ask(agent, opening("b", "broken"))
    failure = await ask(agent, Grant(session_id="b", credit=1))
    assert isinstance(failure, Failure)
    assert failure.session_id == "b"
    assert isinstance(await ask(agent, Grant(session_id="a", credit=1)), AVChunk)
    status = await ask(agent, Ping(session_id="p"))
    assert isinstance(status, EngineStatus)
    assert status.sessions == 1


async def test_after_an_interrupt_nothing_is_made_until_granted(agent: ClientSocket) -> None:
    await ask(agent, opening("a"))
    await ask(agent, Grant(session_id="a", credit=1))
    stop = Interrupt(session_id="a", epoch=1, turn=0, heard_tokens=0, last_shown_chunk=-1)
    await agent.send(stop)
    assert isinstance(await ask(agent, Ping(session_id="p")), EngineStatus)
    chunk = await ask(agent, Grant(session_id="a", credit=1, epoch=1))
    assert isinstance(chunk, AVChunk)
    assert (chunk.chunk, chunk.epoch) == (0, 1)


@dataclasses.dataclass
class WorkClock:
    """Stands in for the clock by which the rendering thread measures its work."""

    step_ns: int = 0
    """Between two looks: what a pass seems to take."""
    now_ns: int = 0

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> WorkClock:
    clock = WorkClock()
    monkeypatch.setattr(render_thread, "perf_counter_ns", clock)
    return clock


def by_step(metric: str) -> dict[str, int]:
    """What a metric says of each step of saving work."""
    found = {step.label: REGISTRY.get_sample_value(metric, {"step": step.label}) for step in STEPS}
    return {label: round(value) for label, value in found.items() if value is not None}


async def made(agent: ClientSocket, session_id: str, chunks: int) -> None:
    await agent.send(Grant(session_id=session_id, credit=chunks))
    for _ in range(chunks):
        assert isinstance(await answer(agent), AVChunk)


async def test_calls_that_save_work_are_counted_at_their_step_and_on_their_way_down(
    agent: ClientSocket, work: WorkClock
) -> None:
    before = by_step("xstreamer_actor_degradations_total")
    await ask(agent, opening("a"))
    await ask(agent, opening("b"))
    await made(agent, "a", 2)
    nobody = dict.fromkeys(before, 0)
    assert by_step("xstreamer_actor_eased_sessions") == nobody
    work.step_ns = 3_000_000_000
    await made(agent, "a", 4)
    assert by_step("xstreamer_actor_eased_sessions") == nobody | {"half_rate": 2}
    after = by_step("xstreamer_actor_degradations_total")
    passed = {label: after[label] - before[label] for label in after}
    assert passed == {"fewer_passes": 2, "teacher": 2, "half_rate": 2, "still": 0}
    for session_id in ("a", "b"):
        await agent.send(CloseSession(session_id=session_id))
    await ask(agent, Ping(session_id="p"))
    assert by_step("xstreamer_actor_eased_sessions") == nobody
    assert by_step("xstreamer_actor_degradations_total") == after


async def test_a_call_that_climbs_back_is_eased_no_more_and_no_degradation(
    agent: ClientSocket, work: WorkClock
) -> None:
    await ask(agent, opening("a"))
    work.step_ns = 3_000_000_000
    await made(agent, "a", 4)
    assert by_step("xstreamer_actor_eased_sessions")["half_rate"] == 1
    before = by_step("xstreamer_actor_degradations_total")
    work.step_ns = 0
    await made(agent, "a", 64)
    assert by_step("xstreamer_actor_eased_sessions")["half_rate"] == 0
    assert by_step("xstreamer_actor_degradations_total") == before


async def test_a_message_for_another_process_is_refused(agent: ClientSocket) -> None:
    refusal = await ask(agent, UserText(session_id="a", text="hello", turn=1))
    assert isinstance(refusal, Failure)
    assert "UserText" in refusal.message


async def test_when_the_last_call_has_ended_nothing_is_said_to_be_overloaded(
    agent: ClientSocket,
) -> None:
    def told() -> float | None:
        return REGISTRY.get_sample_value("xstreamer_actor_real_time_factor")

    for session_id in ("a", "b"):
        assert isinstance(await ask(agent, opening(session_id)), SessionReady)
        assert isinstance(await ask(agent, Grant(session_id=session_id, credit=1)), AVChunk)
    measured = told()
    assert measured
    await agent.send(CloseSession(session_id="a"))
    await ask(agent, Ping(session_id="p"))
    assert told() == measured, "another call is on"
    await agent.send(CloseSession(session_id="b"))
    status = await ask(agent, Ping(session_id="p"))
    assert told() == 0
    assert isinstance(status, EngineStatus)
    assert status.real_time_factor > 0, "what a call costs is known for the next one"


async def test_an_agent_that_is_gone_loses_its_session(desk: Desk, agent: ClientSocket) -> None:
    async with ClientSocket(desk.endpoint) as leaving:
        await ask(leaving, opening("a"))
        await leaving.send(Grant(session_id="a", credit=64))
        await answer(leaving)
    for _ in range(50):
        status = await ask(agent, Ping(session_id="p"))
        assert isinstance(status, EngineStatus)
        if status.sessions == 0:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the session of an agent that is gone was kept")
