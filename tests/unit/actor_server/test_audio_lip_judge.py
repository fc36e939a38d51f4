"""The judge of mouths and voices."""

import numpy as np
import pytest

from actor_server.evaluation.audio_lip_judge import AudioLipJudge, Sync, Talk, compare, stretches
from actor_server.motion.source import Floats
from tests.unit.actor_server.talks import causes, lips_of, voice_of

pytestmark = pytest.mark.unit

STRETCH = 75


def talk(voice_seed: int, lips_seed: int, late: int = 0, frames: int = 300) -> Talk:
    """Lips that come `late` frames after the voice."""
    lips = np.roll(lips_of(causes(lips_seed, frames)), late, axis=0)
    hops = voice_of(causes(voice_seed, frames), noise_seed=voice_seed)
    return Talk(hops, lips, np.ones(frames, np.bool_))


@pytest.fixture(scope="module")
def judge() -> AudioLipJudge:
    return AudioLipJudge.fit([talk(seed, seed) for seed in range(8)])


def words(judge: AudioLipJudge, *talks: Talk) -> list[Sync]:
    found = [word for one in talks for word in judge.judge(one, STRETCH)]
    assert len(found) == 3 * len(talks)
    return found


def test_a_mouth_fits_its_own_voice_and_not_another(judge: AudioLipJudge) -> None:
    own = words(judge, talk(20, 20), talk(21, 21))
    wrong = words(judge, talk(20, 21), talk(21, 20))
    assert max(word.distance for word in own) < 0.7 * min(word.distance for word in wrong)
    assert min(word.confidence for word in own) > 2 * max(word.confidence for word in wrong)
    assert all(word.shift == 0 for word in own)
    assert all(word.unshifted == word.distance for word in own)


@pytest.mark.parametrize("late", [-7, 4])
def test_it_finds_by_how_much_the_lips_are_late(judge: AudioLipJudge, late: int) -> None:
    assert {word.shift for word in words(judge, talk(22, 22, late=late))} == {-late}


def test_a_mouth_that_does_not_move_earns_no_confidence(judge: AudioLipJudge) -> None:
    spoken = talk(23, 23)
    still = Talk(spoken.hops, np.zeros_like(spoken.lips), spoken.usable)
    moving, standing = words(judge, spoken), words(judge, still)
    assert max(word.confidence for word in standing) < 0.3 * min(w.confidence for w in moving)


def test_lips_can_be_held_against_the_sound_of_another_talk(judge: AudioLipJudge) -> None:
    own, other = judge.read(talk(24, 24), STRETCH), judge.read(talk(25, 25), STRETCH)
    here, there = own.stretches[0], other.stretches[1]
    assert compare(own, here, own, here).unshifted < compare(own, here, other, there).unshifted


def test_silence_makes_no_stretch_and_what_lips_do_in_it_does_not_count(
    judge: AudioLipJudge,
) -> None:
    spoken = talk(26, 26, frames=175)
    hops: Floats = spoken.hops.copy()
    hops[400:] = -1.5
    fidgety = spoken.lips.copy()
    fidgety[105:] += 1.0
    assert [at.start for at in stretches(Talk(hops, fidgety, spoken.usable), 72)] == [15]
    (still,) = judge.judge(Talk(hops, spoken.lips, spoken.usable), 100)
    (moving,) = judge.judge(Talk(hops, fidgety, spoken.usable), 100)
    assert moving.unshifted == still.unshifted


def test_lips_that_are_not_trusted_are_neither_judged_nor_learned_from() -> None:
    spoken = talk(27, 27)
    usable = spoken.usable.copy()
    usable[150] = False
    # a window of nine frames must be whole
    assert [at.start for at in stretches(Talk(spoken.hops, spoken.lips, usable), 75)] == [15, 155]
    spoilt = spoken.lips.copy()
    spoilt[150] = 1e6
    clean = AudioLipJudge.fit([talk(1, 1), Talk(spoken.hops, spoken.lips, usable)])
    same = AudioLipJudge.fit([talk(1, 1), Talk(spoken.hops, spoilt, usable)])
    np.testing.assert_array_equal(clean.lips_map, same.lips_map)


def test_sound_and_lips_of_different_length_are_refused() -> None:
    spoken = talk(1, 1)
    with pytest.raises(ValueError, match="299 frames of lips need hops"):
        Talk(spoken.hops, spoken.lips[:-1], spoken.usable)
