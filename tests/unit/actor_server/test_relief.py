"""When calls begin to save work, and when they stop."""

from itertools import pairwise

import pytest

from actor_server.engine import ActorEngine
from actor_server.relief import FIRST_PATIENCE_CHUNKS, WINDOW_CHUNKS, Relief
from actor_server.saving import Saving
from actor_server.session import Pacing
from proto.messages import Grant
from proto.time_law import CHUNK_US
from tests.unit.actor_server.faces import SketchFace
from tests.unit.actor_server.passes import PassMotion

pytestmark = pytest.mark.unit

LADDER = 4
HEAVY, LIGHT = int(0.95 * CHUNK_US), int(0.1 * CHUNK_US)


def record(relief: Relief, work_us: int, chunks: int, sessions: int = 1) -> None:
    for _ in range(chunks):
        relief.record(work_us, sessions)


def test_work_that_fills_the_time_eases_a_call() -> None:
    relief = Relief(LADDER)
    record(relief, HEAVY, WINDOW_CHUNKS)
    assert relief.steps == 1


def test_work_that_fits_the_time_eases_nobody() -> None:
    relief = Relief(LADDER)
    record(relief, int(0.85 * CHUNK_US), 20 * WINDOW_CHUNKS)
    assert relief.steps == 0


def test_one_stall_of_the_machine_is_no_overload() -> None:
    relief = Relief(LADDER)
    record(relief, LIGHT, WINDOW_CHUNKS)
    record(relief, 20 * CHUNK_US, 1)
    record(relief, LIGHT, WINDOW_CHUNKS)
    assert relief.steps == 0


def test_while_there_is_time_many_calls_are_eased_one_by_one_until_the_work_fits() -> None:
    relief = Relief(LADDER)
    for _ in range(40):
        relief.record(int((0.98 - 0.04 * relief.steps) / 4 * CHUNK_US), 4)
    assert relief.steps == 2  # 0.98 - 2 x 0.04 = 0.9


def test_work_of_twice_the_time_takes_two_steps_before_the_window_is_full() -> None:
    relief = Relief(LADDER)
    record(relief, int(2.0 * CHUNK_US), 3, sessions=1)
    assert relief.steps == 0
    record(relief, int(2.0 * CHUNK_US), 2, sessions=1)
    assert relief.steps == 2


def test_no_call_saves_more_than_there_is_to_save() -> None:
    relief = Relief(LADDER)
    record(relief, 50 * CHUNK_US, 50, sessions=2)
    assert relief.steps == 2 * LADDER


def test_calls_that_come_and_go_leave_the_others_where_they_are() -> None:
    relief = Relief(LADDER)
    record(relief, 50 * CHUNK_US, 8, sessions=2)
    record(relief, LIGHT // 4, 1, sessions=3)
    assert relief.steps == 3 * LADDER
    record(relief, LIGHT, 1, sessions=1)
    assert relief.steps == LADDER


def test_a_machine_that_is_free_again_is_trusted_again() -> None:
    relief = Relief(LADDER)
    record(relief, HEAVY, WINDOW_CHUNKS)
    record(relief, LIGHT, FIRST_PATIENCE_CHUNKS)
    assert relief.steps == 1
    record(relief, LIGHT, WINDOW_CHUNKS)
    assert relief.steps == 0


def test_trials_that_fail_become_rarer() -> None:
    relief = Relief(LADDER)
    trials = []
    for chunk in range(1500):
        before = relief.steps
        relief.record(LIGHT if before else HEAVY, 1)
        if relief.steps < before:
            trials.append(chunk)
    waits = [later - earlier for earlier, later in pairwise(trials)]
    assert len(waits) >= 3
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waits))


def test_the_engine_eases_its_newest_sessions_and_says_how_many() -> None:
    motion = PassMotion(passes=2)
    engine = ActorEngine(motion, Pacing(0, 0), max_sessions=2, savings=(Saving.HALF_RATE,))
    for name in ("old", "new"):
        engine.open(name, SketchFace(), 1)
    for _ in range(WINDOW_CHUNKS):
        engine.deliver("old", Grant(session_id="old", credit=1), 0)
        for _ in range(motion.passes):
            made = engine.step("old", 0) is not None
            engine.record_work("old", int(0.23 * CHUNK_US), made=made)
    assert engine.load().real_time_factor == pytest.approx(0.46)
    steps = (Saving.NOTHING, Saving.FEWER_PASSES)
    assert tuple(stream.saving for stream in motion.streams) == steps
    assert engine.load().saving == steps
    assert engine.load().degradation == Saving.FEWER_PASSES
    engine.close("new")
    assert motion.streams[1].closed
    assert engine.load().degradation == Saving.NOTHING
