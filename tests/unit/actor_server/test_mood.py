"""Moods over a motion: eased, exact where there is none, and never against lips, lids or limits."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import (
    BROWS,
    LATENT_DIM,
    LIDS,
    MOUTH,
    PITCH,
    POSE,
    POSE_LIMIT_RAD,
    YAW,
    portrait_latent,
)
from actor_server.codec.mesh.shaping import index
from actor_server.evaluation.articulation import BILABIALS, CLOSED, middle_frame
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.mood_sheet import columns
from actor_server.motion.choice import choose_motion
from actor_server.motion.conditioning import condition_arrays
from actor_server.motion.mood import EXPRESSIONS, MoodMotion, in_mood, mood_numbers, offsets
from actor_server.motion.procedural import NEAR_SIGHT, ProceduralMotion
from actor_server.motion.source import Condition, Floats, MotionSource
from actor_server.saving import Saving
from proto.messages import Expression, Mood
from tests.unit.actor_server import conditions as calls
from tests.unit.actor_server.conditions import LONG, idle, mixed_conditions, play, reply, speaking
from tests.unit.actor_server.passes import PassMotion

pytestmark = pytest.mark.unit

WARM = Mood(expression="warm")
STILL_SOURCE = MoodMotion(PassMotion())
"""Every frame is alike: what moves is the mood."""


def played(source: MotionSource, conditions: list[Condition], seed: int = 1) -> Floats:
    return play(source.open(portrait_latent(), seed), conditions)


def change(conditions: list[Condition]) -> Floats:
    """What moods add to a source whose frames are all alike, (F, LATENT_DIM)."""
    plain = [replace(condition, moods=idle().moods) for condition in conditions]
    return played(STILL_SOURCE, conditions) - played(STILL_SOURCE, plain)


def test_without_a_mood_the_latents_are_the_very_same() -> None:
    conditions = mixed_conditions(3, 20)
    plain = played(ProceduralMotion(), conditions)
    assert np.array_equal(played(MoodMotion(ProceduralMotion()), conditions), plain)
    beyond = 9.0 * plain
    assert in_mood(beyond, np.zeros((len(beyond), 5), np.float32)) is beyond
    neutral = calls.in_mood(conditions, Mood(expression="neutral", yaw_deg=0.0))
    assert np.array_equal(played(MoodMotion(ProceduralMotion()), neutral), plain)


def test_a_mood_comes_in_four_tenths_of_a_second_without_a_jump_or_an_overshoot() -> None:
    shown = change(calls.in_mood([idle()] * 8, WARM))
    share = shown[:, MOUTH] @ offsets()[0, MOUTH] / (offsets()[0, MOUTH] @ offsets()[0, MOUTH])
    assert 0.9 <= share[9] <= 0.95
    assert np.all(np.diff(share) >= 0)
    assert np.diff(share, prepend=0.0).max() < 0.15
    assert share[-1] == pytest.approx(1.0)


def test_a_face_grows_neutral_slowly_and_is_then_the_source_s_own_again() -> None:
    shown = change([*calls.in_mood([idle()] * 6, WARM), *[idle()] * 12])
    brows = shown[6 * 8 :, BROWS.start] / shown[6 * 8 - 1, BROWS.start]
    assert brows[9] > 0.3
    assert brows[24] == pytest.approx(0.1, abs=0.03)
    assert np.all(shown[-8:] == 0.0)


def test_moods_that_change_at_every_token_stay_between_none_and_all() -> None:
    dice = np.random.default_rng(1)
    flickering = [
        replace(idle(), moods=tuple(calls.MOODS[n] for n in dice.integers(0, 4, 4)))
        for _ in range(60)
    ]
    brows = change(flickering)[:, BROWS]
    assert brows.max() <= offsets()[2, BROWS.start] + offsets()[0, BROWS.start]
    assert brows.min() >= offsets()[1, BROWS.start]
    nobody = np.zeros((2, LATENT_DIM), np.float32)
    backwards = np.array([[-0.05, -0.05, -0.05, 0, 0], [1.05, 0, 0, 0, 0]], np.float32)
    shown = in_mood(nobody, backwards)
    assert not shown[0].any()
    assert np.array_equal(shown[1, MOUTH], offsets()[0, MOUTH])


def test_a_mood_begins_with_its_own_token() -> None:
    third = replace(idle(), moods=(Mood(), Mood(), WARM, WARM))
    moved = np.abs(change([third])).sum(1) > 0
    assert moved.tolist() == [False] * 4 + [True] * 4


def test_a_rollback_in_the_middle_of_a_change_is_exact() -> None:
    rising = calls.in_mood([idle()], WARM)
    straight, detour = (STILL_SOURCE.open(portrait_latent(), 1) for _ in range(2))
    play(straight, rising)
    play(detour, [*rising, *calls.in_mood([idle()] * 4, Mood(expression="serious"))])
    detour.rollback(0)
    assert np.array_equal(play(straight, [idle()] * 3), play(detour, [idle()] * 3))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_lips_still_close_for_b_p_and_m(expression: Expression) -> None:
    whole = reply("B AA P IY M UW AE M P EY B OW M AA " * 2)
    spoken = speaking(whole)
    felt = played(
        MoodMotion(ProceduralMotion()), calls.in_mood(spoken, Mood(expression=expression))
    )
    plain = played(ProceduralMotion(), spoken)
    middles = [middle_frame(p) for p in whole.phones or () if p.symbol in BILABIALS]
    gap = LipTrack.of_latents(felt).gap
    assert gap[middles].max() <= CLOSED
    assert np.all(gap <= LipTrack.of_latents(plain).gap + 1e-4)
    assert gap.max() > 2 * CLOSED, "vowels open all the same"


@pytest.mark.parametrize("row", range(len(EXPRESSIONS)))
def test_no_expression_parts_the_lips_anywhere_along_them(row: int) -> None:
    moved = mouth_basis().displace(offsets()[row, MOUTH])
    lower, upper = index(topology.LIP_INNER_LOWER), index(topology.LIP_INNER_UPPER)
    parted = (moved[lower, 1] - moved[upper, 1])[1:-1]  # both ends are one point
    assert parted.max() <= 0.0
    aside = (moved[lower] - moved[upper])[:, [0, 2]]
    assert np.abs(aside).max() < 0.003, "in a turned head lips that pass each other show teeth"


def test_each_expression_does_to_the_face_what_its_name_says() -> None:
    corners, width = (mouth_basis().features[name] for name in ("corners", "width"))
    warm, serious, surprised = offsets()
    assert corners @ warm[MOUTH] > 0.02
    assert width @ warm[MOUTH] > 0.02
    assert corners @ serious[MOUTH] < -0.005
    assert surprised[BROWS].min() > 0.5 > 0 > serious[BROWS].max()


@pytest.mark.parametrize("yaw", [-10.0, 0.0, 10.0])
@pytest.mark.parametrize("pitch", [-6.0, 6.0])
def test_a_turned_head_keeps_moving_within_its_limits(yaw: float, pitch: float) -> None:
    own = np.zeros((41, LATENT_DIM), np.float32)
    limits = np.array(POSE_LIMIT_RAD, np.float32)
    own[:, POSE] = np.linspace(-1, 1, 41)[:, None] * limits
    numbers = mood_numbers(Mood(yaw_deg=yaw, pitch_deg=pitch))
    shown = in_mood(own, np.broadcast_to(numbers, (41, 5)))
    assert shown[20, YAW] == pytest.approx(np.radians(yaw))
    assert shown[20, PITCH] == pytest.approx(np.radians(pitch))
    assert np.all(np.abs(shown[:, POSE]) <= limits)
    steps = np.diff(shown[:, [YAW, PITCH]], axis=0)
    assert steps.min() > 0.3 * np.diff(own[:, [YAW, PITCH]], axis=0).min(), "not held at a limit"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_closed_eyes_stay_closed(expression: Expression) -> None:
    own = np.zeros((2, LATENT_DIM), np.float32)
    own[0, LIDS] = 1.0
    felt = np.broadcast_to(mood_numbers(Mood(expression=expression)), (2, 5))
    shown = in_mood(own, felt)
    assert np.all(shown[0, LIDS] == 1.0)
    assert np.all(shown[1, LIDS] != 0.0)


def test_what_a_call_is_moved_by_has_moods_and_a_still_face_has_none() -> None:
    source = choose_motion("teacher", None, 1)
    conditions = speaking(reply(LONG))[:20]
    moody = calls.in_mood(conditions, WARM)
    assert not np.array_equal(played(source, moody), played(source, conditions))
    still = source.open(portrait_latent(), 1)
    play(still, moody[:4])
    still.ease(Saving.STILL)
    frames = play(still, moody[4:])[-8:]
    assert all(np.array_equal(*pair) for pair in pairwise(frames))
    assert not frames[:, MOUTH].any()


def test_no_source_is_told_of_moods() -> None:
    """They were trained without: only what is laid over them knows."""
    plain = speaking(reply())[0]
    (moody,) = calls.in_mood([plain], WARM)
    told, untold = (vars(condition_arrays(one, NEAR_SIGHT)) for one in (moody, plain))
    assert all(np.array_equal(told[name], untold[name]) for name in untold)


def test_the_sheet_shows_moods_that_differ_and_lips_that_meet() -> None:
    source = MoodMotion(ProceduralMotion())
    neutral, warm = columns(source, "neutral"), columns(source, "warm")
    assert list(neutral) == ["before", "look left", "look down", "M", "AA", "IY"]
    gaps = {name: LipTrack.of_latents(latent[None]).gap[0] for name, latent in warm.items()}
    assert gaps["M"] == gaps["before"] == 0.0
    assert gaps["AA"] > 2 * CLOSED
    assert all(np.abs(warm[name] - neutral[name]).max() > 0.1 for name in neutral)
    assert neutral["look left"][YAW] > neutral["before"][YAW] + np.radians(4.0)
