"""The face while the Actor is away."""

from itertools import pairwise

import numpy as np
import pytest

from services.room_agent.stand_in import (
    BLEND_FRAMES,
    ENOUGH_FRAMES,
    KEPT_FRAMES,
    PATIENCE_FRAMES,
    StandIn,
)

pytestmark = pytest.mark.unit

STEP = 2


def frame(luma: int) -> np.ndarray:
    return np.full((384, 256), luma, np.uint8)


def luma(shown: np.ndarray | None) -> int:
    assert shown is not None
    return int(shown[0, 0])


def moving(count: int) -> tuple[StandIn, list[int]]:
    """A face that has moved evenly for so many quiet frames."""
    face = StandIn()
    shown = [luma(face.real(frame(20 + STEP * i), quiet=True)) for i in range(count)]
    return face, shown


def test_what_the_actor_sends_is_shown_as_it_is() -> None:
    _, shown = moving(50)
    assert shown == [20 + STEP * i for i in range(50)]


def test_a_late_chunk_only_holds_the_frame() -> None:
    face, shown = moving(50)
    held = [luma(face.missing()) for _ in range(PATIENCE_FRAMES)]
    assert set(held) == {shown[-1]}
    assert luma(face.real(frame(shown[-1] + STEP), quiet=True)) == shown[-1] + STEP


def test_an_actor_that_is_away_leaves_a_face_that_moves_and_never_jumps() -> None:
    face, shown = moving(50)
    missing = [luma(face.missing()) for _ in range(300)]
    assert len(set(missing[PATIENCE_FRAMES + BLEND_FRAMES :])) > 40
    assert max(abs(b - a) for a, b in pairwise([shown[-1], *missing])) <= 2 * STEP
    assert min(missing) >= min(shown)
    assert max(missing) <= max(shown)


def test_the_actors_return_is_no_jump_either() -> None:
    face, _ = moving(10)
    before = [luma(face.missing()) for _ in range(PATIENCE_FRAMES + 20)][-1]
    back = [luma(face.real(frame(200), quiet=True)) for _ in range(BLEND_FRAMES + 2)]
    assert back[0] < before + 40
    assert max(b - a for a, b in pairwise([before, *back])) < 40
    assert back[BLEND_FRAMES - 1 :] == [200] * 3


def test_an_actor_lost_in_mid_word_leaves_a_quiet_face() -> None:
    face, _ = moving(30)
    for _ in range(20):
        face.real(frame(220), quiet=False)
    missing = [luma(face.missing()) for _ in range(60)]
    assert max(missing[PATIENCE_FRAMES + BLEND_FRAMES :]) < 100


def lost_after_speech(quiet_frames: int) -> list[int]:
    """What is shown where the Actor dies so long after an answer, which a long rest preceded."""
    face, _ = moving(60)
    for _ in range(20):
        face.real(frame(220), quiet=False)
    for i in range(quiet_frames):
        face.real(frame(150 + STEP * i), quiet=True)
    return [luma(face.missing()) for _ in range(200)][PATIENCE_FRAMES + BLEND_FRAMES :]


@pytest.mark.parametrize("quiet_frames", [0, 1, 5, ENOUGH_FRAMES - 1])
def test_an_actor_lost_just_after_a_word_leaves_the_quiet_face_of_before(quiet_frames: int) -> None:
    shown = lost_after_speech(quiet_frames)
    assert max(shown) < 150
    assert len(set(shown)) > 50, "it moves"
    assert max(abs(b - a) for a, b in pairwise(shown)) <= STEP


def test_frames_from_before_the_last_speech_are_forgotten_once_there_are_enough_new_ones() -> None:
    assert min(lost_after_speech(ENOUGH_FRAMES)) >= 150


def test_the_first_frames_of_a_call_are_used_however_few_there_are() -> None:
    face = StandIn()
    face.real(frame(220), quiet=False)
    for i in range(3):
        face.real(frame(100 + STEP * i), quiet=True)
    shown = [luma(face.missing()) for _ in range(50)][PATIENCE_FRAMES + BLEND_FRAMES :]
    assert set(shown) == {100, 100 + STEP, 100 + 2 * STEP}


def test_without_any_frame_there_is_nothing_to_show() -> None:
    assert StandIn().missing() is None


def test_what_is_kept_is_bounded() -> None:
    face, _ = moving(3)
    for i in range(1000):
        face.real(frame(i % 100), quiet=True)
    lumas = {luma(face.missing()) for _ in range(1000)}
    assert len(lumas) <= KEPT_FRAMES + 2 * BLEND_FRAMES
