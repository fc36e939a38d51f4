"""When calls begin to save work, and when they stop."""

from itertools import pairwise

import pytest

from actor_server.engine import ActorEngine
from actor_server.relief import FIRST_PATIENCE_CHUNKS, WINDOW_CHUNKS, Relief
from actor_server.session import Pacing
from proto.messages import Grant
from proto.time_law import CHUNK_US
from tests.unit.actor_server.faces import SketchFace
from tests.unit.actor_server.passes import PassMotion

pytestmark = pytest.mark.unit

HEAVY, LIGHT = int(0.95 * CHUNK_US), int(0.1 * CHUNK_US)


def record(relief: Relief, work_us: int, chunks: int, sessions: int = 1) -> None:
    for _ in range(chunks):
        relief.record(work_us, sessions)


def test_work_that_fills_the_time_eases_a_call() -> None:
    relief = Relief()
    record(relief, HEAVY, WINDOW_CHUNKS)
    assert relief.eased == 1


def test_work_that_fits_the_time_eases_nobody() -> None:
    relief = Relief()
    record(relief, int(0.85 * CHUNK_US), 20 * WINDOW_CHUNKS)
    assert relief.eased == 0


def test_one_stall_of_the_machine_is_no_overload() -> None:
    relief = Relief()
    record(relief, LIGHT, WINDOW_CHUNKS)
    record(relief, 20 * CHUNK_US, 1)
    record(relief, LIGHT, WINDOW_CHUNKS)
    assert relief.eased == 0


def test_many_calls_are_eased_one_by_one_until_the_work_fits() -> None:
    relief = Relief()
    for _ in range(40):
        cost = (relief.eased * LIGHT + (4 - relief.eased) * 0.35 * CHUNK_US) / 4
        relief.record(int(cost), 4)
    assert relief.eased == 2  # 2 x 0.1 + 2 x 0.35 = 0.9


def test_a_machine_that_is_free_again_is_trusted_again() -> None:
    relief = Relief()
    record(relief, HEAVY, WINDOW_CHUNKS)
    record(relief, LIGHT, FIRST_PATIENCE_CHUNKS)
    assert relief.eased == 1
    record(relief, LIGHT, WINDOW_CHUNKS)
    assert relief.eased == 0


def test_trials_that_fail_become_rarer() -> None:
    relief = Relief()
    trials = []
    for chunk in range(1500):
        before = relief.eased
        relief.record(LIGHT if before else HEAVY, 1)
        if relief.eased < before:
            trials.append(chunk)
    waits = [later - earlier for earlier, later in pairwise(trials)]
    assert len(waits) >= 3
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waits))


def test_the_engine_eases_its_newest_sessions_and_says_how_many() -> None:
    motion = PassMotion(passes=2)
    engine = ActorEngine(motion, Pacing(0, 0), max_sessions=2)
    for name in ("old", "new"):
        engine.open(name, SketchFace(), 1)
    for _ in range(WINDOW_CHUNKS):
        engine.deliver("old", Grant(session_id="old", credit=1), 0)
        for _ in range(motion.passes):
            made = engine.step("old", 0) is not None
            engine.record_work("old", int(0.3 * CHUNK_US), made=made)
    assert engine.load().real_time_factor == pytest.approx(0.6)
    assert [stream.eased for stream in motion.streams] == [False, True]
    assert engine.load().eased_sessions == 1
    engine.close("new")
    assert motion.streams[1].closed
    assert engine.load().eased_sessions == 0
