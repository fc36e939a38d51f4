"""A session whose motion needs several passes a chunk and sees two tokens ahead."""

import numpy as np
import pytest

from actor_server.face import Drawn, Painter
from actor_server.motion.source import Floats, MotionSource
from actor_server.saving import Saving
from actor_server.session import ActorSession, Pacing
from proto.messages import AVChunk, Grant, HiddenChunk, Interrupt
from proto.time_law import CHUNK_FRAMES, FRAME_WIDTH, I420_ROWS
from tests.unit.actor_server.conditions import parts_of, reply
from tests.unit.actor_server.faces import SketchFace
from tests.unit.actor_server.passes import PassMotion

pytestmark = pytest.mark.unit

PACING = Pacing(idle_hold_us=120_000, underrun_hold_us=240_000)
PASSES = 3
LATE = 2


def open_session(source: MotionSource) -> ActorSession:
    return ActorSession("s", SketchFace(), source, 1, PACING)


def grant(session: ActorSession, credit: int = 1, now_us: int = 0, epoch: int = 0) -> None:
    session.deliver(Grant(session_id="s", credit=credit, epoch=epoch), now_us)


def take(session: ActorSession, count: int, now_us: int = 0) -> list[AVChunk]:
    grant(session, count, now_us)
    steps = [session.step(now_us) for _ in range(4 * PASSES * count) if session.credit]
    return [chunk for chunk in steps if chunk is not None]


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_chunk_leaves_when_its_passes_are_made(window: int) -> None:
    session = open_session(PassMotion(PASSES, window))
    grant(session)
    assert [session.step(0) is None for _ in range(PASSES)] == [True, True, False]


def test_a_chunk_that_was_begun_is_finished_at_once() -> None:
    session = open_session(PassMotion(PASSES))
    take(session, 1)
    grant(session, now_us=1_000_000)
    assert session.due_us() == 1_120_000
    session.step(1_120_000)
    assert session.due_us() == 1_000_000


def test_speech_that_comes_while_a_quiet_chunk_is_made_does_not_wait_for_it() -> None:
    session = open_session(PassMotion(PASSES))
    take(session, 1)
    grant(session)
    assert session.step(0) is None
    session.deliver(reply("AA " * 30), 0)
    chunks = [session.step(0) for _ in range(PASSES)]
    assert chunks[:-1] == [None] * (PASSES - 1)
    assert chunks[-1] is not None
    assert chunks[-1].audio_tokens == 4


@pytest.mark.parametrize("window", [2, 3])
def test_quiet_chunks_in_flight_never_stand_before_the_first_word(window: int) -> None:
    session = open_session(PassMotion(PASSES, window))
    take(session, 2)
    grant(session, epoch=1)  # the agent knows of the reply before its speech comes
    session.step(200_000)
    session.deliver(reply("AA " * 30, epoch=1), 0)
    assert [chunk.first_token for chunk in take(session, 1)] == [0, 4]
    assert session.credit == 0


@pytest.mark.parametrize("window", [1, 2, 3])
def test_chunks_in_flight_hold_the_reply_in_order_and_are_never_silent_inside(window: int) -> None:
    session = open_session(PassMotion(PASSES, window))
    waiting = parts_of(reply("AA " * 40), [6] * 9)
    chunks: list[AVChunk] = []
    for _ in range(20):
        if waiting:
            session.deliver(waiting.pop(0), 0)
        chunks += take(session, 1)
        if chunks[-1].last:
            break
    spoken = [chunk for chunk in chunks if chunk.audio_tokens]
    assert [chunk.first_token for chunk in spoken] == list(range(0, 50, 4))
    assert len(spoken) == len(chunks)


def first_part(tokens: int) -> HiddenChunk:
    return parts_of(reply("AA " * 40), [tokens])[0]


@pytest.mark.parametrize(("tokens", "due_us"), [(4, 1_120_000), (5, 1_120_000), (6, 1_000_000)])
def test_a_first_chunk_waits_for_its_look_ahead_no_longer_than_for_speech(
    tokens: int, due_us: int
) -> None:
    session = open_session(PassMotion(PASSES))
    take(session, 1)
    session.deliver(first_part(tokens), 1_000_000)
    grant(session, now_us=1_000_000)
    assert session.due_us() == due_us


def test_a_chunk_whose_look_ahead_does_not_come_goes_without() -> None:
    motion = PassMotion(PASSES)
    session = open_session(motion)
    session.deliver(first_part(8), 0)
    spoken = take(session, 2, 1_000_000)
    assert [chunk.audio_tokens for chunk in spoken] == [4, 4]
    windows = [condition.speech for condition in motion.streams[0].offered]
    assert [w.heard.tolist()[-2:] for w in windows if w is not None] == [[True] * 2, [False] * 2]


def test_the_end_of_a_reply_waits_for_nothing() -> None:
    session = open_session(PassMotion(PASSES))
    session.deliver(reply("AA " * 8), 0)  # 10 tokens
    grant(session, 3, 1_000_000)
    dues = []
    chunks: list[AVChunk] = []
    while session.credit:
        dues.append(session.due_us())
        chunks += [made] if (made := session.step(1_000_000)) is not None else []
    assert set(dues) == {1_000_000}
    assert [chunk.audio_tokens for chunk in chunks] == [4, 4, 2]
    assert [chunk.last for chunk in chunks] == [False, False, True]


def test_an_interrupt_rolls_back_what_is_in_flight() -> None:
    motion = PassMotion(PASSES, window=2)
    session = open_session(motion)
    session.deliver(reply("AA " * 40), 0)
    take(session, 4)
    grant(session, 2)
    session.step(0)
    stop = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=0, last_shown_chunk=1)
    session.deliver(stop, 0)
    assert motion.streams[0].rolled_back_to == 1
    chunks = take(session, 2)
    assert [(chunk.chunk, chunk.audio_tokens) for chunk in chunks] == [(2, 0), (3, 0)]


def test_a_closed_session_frees_its_stream() -> None:
    motion = PassMotion()
    open_session(motion).close()
    assert motion.streams[0].closed


class LateFace(SketchFace):
    """Its painter draws a chunk when two others have followed."""

    def painter(self) -> Painter:
        return LatePainter(self)


class LatePainter:
    """Frames have the shade of their chunk, counted from the first that was ever given."""

    def __init__(self, face: LateFace) -> None:
        self.face, self.given, self.drawn = face, 0, 0

    def draw(self, latents: Floats) -> Drawn | None:
        self.given += 1
        if self.given - self.drawn <= LATE:
            return None
        frames = np.full((CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH), self.drawn, np.uint8)
        self.drawn += 1
        return Drawn(frames, 0.5)

    def rollback(self, chunk: int) -> None:
        self.given = self.drawn = chunk + 1

    def ease(self, saving: Saving) -> None:
        """It cannot."""


def late_session(source: PassMotion) -> ActorSession:
    return ActorSession("s", LateFace(), source, 1, PACING)


def test_a_painter_that_runs_behind_draws_each_chunk_with_its_own_sound() -> None:
    session = late_session(PassMotion(passes=1))
    whole = reply("AA " * 20)
    assert whole.pcm is not None
    session.deliver(whole, 0)
    chunks = take(session, 6)
    assert [chunk.chunk for chunk in chunks] == [*range(6)]
    assert [int(chunk.frames[0, 0, 0]) for chunk in chunks] == [*range(6)]
    assert [chunk.first_token for chunk in chunks] == [0, 4, 8, 12, 16, 20]
    sound = np.concatenate([chunk.pcm for chunk in chunks])
    assert np.array_equal(sound, whole.pcm[: len(sound)])
    assert session.credit == 0


def test_what_was_made_and_not_drawn_goes_with_the_reply_that_it_belonged_to() -> None:
    motion = PassMotion(passes=1)
    session = late_session(motion)
    session.deliver(reply("AA " * 20, epoch=1), 0)
    take(session, 3)
    session.deliver(reply("IY " * 20, epoch=2, turn=2), 0)
    assert motion.streams[0].rolled_back_to == 2
    chunks = take(session, 3)
    assert [chunk.chunk for chunk in chunks] == [3, 4, 5]
    assert [(chunk.turn, chunk.first_token) for chunk in chunks] == [(2, 0), (2, 4), (2, 8)]
    assert [int(chunk.frames[0, 0, 0]) for chunk in chunks] == [3, 4, 5]


def test_an_interrupt_takes_the_painter_back_too() -> None:
    session = late_session(PassMotion(passes=1))
    session.deliver(reply("AA " * 20, epoch=1), 0)
    take(session, 4)
    stop = Interrupt(session_id="s", epoch=2, turn=1, heard_tokens=4, last_shown_chunk=1)
    session.deliver(stop, 0)
    grant(session, 2, epoch=2)
    steps = [session.step(0) for _ in range(2 + LATE)]
    chunks = [chunk for chunk in steps if chunk is not None]
    assert [chunk.chunk for chunk in chunks] == [2, 3]
    assert [int(chunk.frames[0, 0, 0]) for chunk in chunks] == [2, 3]
