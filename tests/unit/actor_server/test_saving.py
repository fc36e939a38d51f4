"""Calls under growing load: they save work step by step, go on in time, and climb back."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from actor_server.codec.mesh.latent import LATENT_STD, POSE, ROLL, speech_neutral_latent
from actor_server.engine import ActorEngine
from actor_server.mesh_painter import MeshPainter
from actor_server.motion.fallback import FallbackMotion
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Floats
from actor_server.motion.still import StillMotion
from actor_server.saving import Saving, share
from actor_server.session import ActorSession, Pacing
from proto.messages import AVChunk, Grant
from proto.time_law import CHUNK_FRAMES, CHUNK_US
from tests.unit.actor_server.faces import SketchFace
from tests.unit.actor_server.passes import PassMotion, PassStream

pytestmark = pytest.mark.unit

PASSES = 4
PASS_US, RULES_US, DRAW_US = 7_000, 1_500, 3_000
"""What was measured of the shipped weights (docs/decisions/0009)."""
AHEAD = 2
"""Chunks that an agent keeps granted while it speaks."""


class SwayingStream(PassStream):
    """No frame is like the one before it, so every one must be drawn."""

    def next_chunk(self) -> Floats | None:
        made = super().next_chunk()
        if made is not None:
            made[::2, ROLL] += 0.01
        return made


class SwayingMotion(PassMotion):
    def open(self, reference: Floats, seed: int) -> PassStream:
        self.streams.append(SwayingStream(self.passes, self.window))
        return self.streams[-1]


@dataclass
class Call:
    """A listener who shows each chunk for its length, and counts what stood still."""

    name: str
    face: SketchFace = field(default_factory=SketchFace)
    chunks: list[AVChunk] = field(default_factory=list)
    steps: list[Saving] = field(default_factory=list)
    granted: int = 0
    shown_until_us: int = AHEAD * CHUNK_US
    frozen_us: list[int] = field(default_factory=list)

    def take(self, chunk: AVChunk, now_us: int) -> None:
        self.chunks.append(chunk)
        self.frozen_us.append(max(0, now_us - self.shown_until_us))
        self.shown_until_us = max(self.shown_until_us, now_us) + CHUNK_US


class Machine:
    """An engine in virtual time; `slowness(seconds)` multiplies what its work costs."""

    def __init__(self, calls: int, slowness: Callable[[float], float]) -> None:
        self.passes = SwayingMotion(PASSES)
        moving = FallbackMotion(self.passes, ProceduralMotion, Saving.TEACHER)
        source = FallbackMotion(moving, StillMotion, Saving.STILL)
        self.engine = ActorEngine(source, Pacing(0, 0), calls, savings=(Saving.HALF_RATE,))
        self.calls = {name: Call(name) for name in "abcd"[:calls]}
        for call in self.calls.values():
            self.engine.open(call.name, call.face, 1)
        self.now_us = 0
        self._slowness = slowness

    def run(self, until_s: float) -> None:
        while self.now_us < until_s * 1e6:
            for call in self.calls.values():
                self._grant(call)
            turn = self.engine.next_turn(self.now_us)
            if turn is None:
                self.now_us += 10_000
            else:
                self._step(self.calls[turn.session_id])

    def _grant(self, call: Call) -> None:
        while call.shown_until_us + (call.granted - len(call.chunks)) * CHUNK_US < (
            self.now_us + AHEAD * CHUNK_US
        ):
            self.engine.deliver(call.name, Grant(session_id=call.name, credit=1), self.now_us)
            call.granted += 1

    def _step(self, call: Call) -> None:
        drawn, run = len(call.face.drawn), self._run
        chunk = self.engine.step(call.name, self.now_us)
        passes, frames = self._run - run, len(call.face.drawn) - drawn
        rules = RULES_US if chunk is not None and self._step_of(call) < Saving.STILL else 0
        work = passes * PASS_US + frames * DRAW_US + rules
        work_us = int(work * self._slowness(self.now_us / 1e6))
        self.now_us += work_us + 100
        if chunk is not None:
            call.take(chunk, self.now_us)
            call.steps.append(self._step_of(call))
        self.engine.record_work(call.name, work_us, made=chunk is not None)

    @property
    def _run(self) -> int:
        return sum(stream.run for stream in self.passes.streams)

    def _step_of(self, call: Call) -> Saving:
        return self.engine.load().saving["abcd".index(call.name)]


def growing(seconds: float) -> float:
    """To more than the mildest three steps can save, and from then on as at first."""
    return 1 + seconds / 4 if seconds < 60 else 1


@pytest.fixture(scope="module")
def overloaded() -> Machine:
    machine = Machine(2, growing)
    machine.run(150)
    return machine


def test_under_growing_load_steps_are_taken_in_order_and_chunks_come_in_time(
    overloaded: Machine,
) -> None:
    for call in overloaded.calls.values():
        first_seen = [call.steps.index(step) for step in Saving]
        assert first_seen == sorted(first_seen)
        assert [chunk.chunk for chunk in call.chunks] == list(range(len(call.chunks)))
        assert all(len(chunk.frames) == CHUNK_FRAMES for chunk in call.chunks)
        assert max(call.frozen_us) == 0


def test_after_the_load_every_call_climbs_back(overloaded: Machine) -> None:
    for call in overloaded.calls.values():
        assert call.steps[-1] == Saving.NOTHING
        climbed = call.steps[len(call.steps) - call.steps[::-1].index(Saving.STILL) :]
        assert climbed == sorted(climbed, reverse=True)


def test_no_face_jumps_where_its_call_changes_steps(overloaded: Machine) -> None:
    for call in overloaded.calls.values():
        speed = np.abs(np.diff(np.stack(call.face.drawn)[:, POSE], axis=0))
        # as at a change of sources (test_fallback), and twice as far at half the rate
        assert speed.max() < 2 * (0.014 + np.radians(2.0))


def test_work_that_suddenly_takes_twice_the_time_makes_no_picture_late_for_long() -> None:
    machine = Machine(3, lambda seconds: 4 if seconds > 10 else 1)
    machine.run(40)
    for call in machine.calls.values():
        assert max(call.frozen_us) < 250_000
        assert sum(call.frozen_us) < 300_000
        assert not any(call.frozen_us[40:])


def test_a_source_without_cheaper_motion_has_only_the_steps_that_save() -> None:
    engine = ActorEngine(
        FallbackMotion(ProceduralMotion(), StillMotion, Saving.STILL),
        Pacing(),
        1,
        savings=(Saving.HALF_RATE,),
    )
    engine.open("a", SketchFace(), 1)
    seen = []
    for number in range(60):
        engine.deliver("a", Grant(session_id="a", credit=1), number * CHUNK_US)
        engine.step("a", number * CHUNK_US)
        engine.record_work("a", CHUNK_US - 1, made=True)
        seen.append(engine.load().degradation)
    assert sorted(set(seen)) == [Saving.NOTHING, Saving.HALF_RATE, Saving.STILL]


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
def test_calls_save_alike_and_the_newest_saves_first(calls: int) -> None:
    for steps in range(4 * calls + 1):
        shared = share(steps, calls)
        assert sum(shared) == steps
        assert shared == sorted(shared)
        assert shared[-1] - shared[0] <= 1


def test_at_half_the_rate_every_second_frame_is_drawn_and_a_still_face_not_at_all() -> None:
    face = SketchFace()
    source = FallbackMotion(ProceduralMotion(), StillMotion, Saving.STILL)
    session = ActorSession("a", face, source, 1, Pacing(0, 0))
    drawn = []
    for step in (Saving.NOTHING, Saving.HALF_RATE, Saving.STILL):
        session.ease(step)
        for _ in range(4):  # until the difference has faded
            session.deliver(Grant(session_id="a", credit=1), 0)
            before = len(face.drawn)
            session.step(0)
        drawn.append(len(face.drawn) - before)
    assert drawn == [8, 4, 0]
    assert np.array_equal(face.drawn[-1], speech_neutral_latent())  # lips closed, eyes open


def test_a_frame_that_is_not_drawn_again_is_the_same_picture() -> None:
    class Counting(SketchFace):
        def render(self, latent: Floats, out: np.ndarray) -> np.ndarray:
            self.shade += 1
            return super().render(latent, out)

    painter = MeshPainter(Counting())
    moving = np.arange(8, dtype=np.float32)[:, None] * LATENT_STD
    still = np.repeat(moving[-1:], 8, axis=0)
    shades = [painter.draw(latents).frames[:, 0, 0].tolist() for latents in (moving, still, moving)]
    assert shades == [[1, 2, 3, 4, 5, 6, 7, 8], [8] * 8, [9, 10, 11, 12, 13, 14, 15, 16]]
