"""Faces that nod, raise their brows or rest while a caller talks, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest

from actor_server.codec.mesh.latent import BROWS, GAZE, LATENT_DIM, PITCH, YAW
from actor_server.evaluation.listening import Caller, listening, nods
from actor_server.evaluation.liveliness import Clip
from actor_server.evaluation.repetition import repetition
from actor_server.evaluation.takes import Take
from actor_server.motion.conditioning import CUES, FADING, ConditionReader
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Condition, Floats, HeardWindow
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_FRAMES, FRAMES_PER_SECOND
from tests.unit.actor_server.talks import SIGHT

pytestmark = pytest.mark.unit

LOUD, SILENT = 0.45, -1.5
PHRASE, PAUSE = 6, 3
"""Chunks of talk and of silence."""


def caller_talks(rounds: int) -> tuple[Take, list[Condition]]:
    """Somebody talks in phrases, then nobody does; loudness swells within a phrase."""
    levels: list[float] = []
    for _ in range(rounds):
        swell = np.sin(np.linspace(0, np.pi, PHRASE * CHUNK_AUDIO_TOKENS))
        levels += [*(LOUD - 0.5 * (1 - swell)), *[SILENT] * (PAUSE * CHUNK_AUDIO_TOKENS)]
    tokens = np.array(levels, np.float32)[:, None, None]
    features = np.broadcast_to(tokens, (len(levels), TOKEN_MEL_FRAMES, MEL_BINS))
    conditions = [
        Condition("listening", 0, heard=HeardWindow(True, features[at : at + CHUNK_AUDIO_TOKENS]))
        for at in range(0, len(levels), CHUNK_AUDIO_TOKENS)
    ]
    conditions += [Condition("idle", 0)] * 30
    frames = len(conditions) * CHUNK_FRAMES
    latents = np.zeros((frames, LATENT_DIM), np.float32)
    arrays = tuple(map(ConditionReader(SIGHT).read, conditions))
    take = Take("mixed", latents, np.ones(latents.shape, np.bool_), arrays, SIGHT.history_tokens)
    return take, conditions


def measured(take: Take, latents: Floats):  # type: ignore[no-untyped-def]
    return listening([take], [Clip(latents, np.ones(latents.shape, np.bool_))])


def test_a_pause_is_found_after_every_phrase() -> None:
    take, _ = caller_talks(6)
    caller = Caller.of(take.conditions)
    assert caller.ended.sum() == 6
    assert np.diff(np.flatnonzero(caller.ended)) == pytest.approx((PHRASE + PAUSE) * CHUNK_FRAMES)
    assert caller.listens.sum() == 6 * (PHRASE + PAUSE) * CHUNK_FRAMES


def test_the_end_of_a_phrase_fades_across_the_border_of_a_chunk() -> None:
    take, _ = caller_talks(1)
    ended = np.concatenate([one.cues for one in take.conditions])[:, CUES.index("phrase_ended")]
    (at,) = np.flatnonzero(ended == 1)
    assert not ended[:at].any()
    fading = FADING ** np.arange(2 * CHUNK_FRAMES)
    np.testing.assert_allclose(ended[at : at + 2 * CHUNK_FRAMES], fading, rtol=2e-3)


def test_a_face_that_nods_at_pauses_differs_from_one_that_nods_anywhere_and_one_that_rests() -> (
    None
):
    take, _ = caller_talks(8)
    nod = np.radians(3.0) * np.hanning(15).astype(np.float32)
    attentive, absent = take.latents.copy(), take.latents.copy()
    for pause in np.flatnonzero(Caller.of(take.conditions).ended):
        attentive[pause + 4 : pause + 19, PITCH] += nod
        absent[pause - 30 : pause - 15, PITCH] += nod
    by_face = [measured(take, latents) for latents in (attentive, absent, take.latents)]
    assert [face.pauses for face in by_face] == [8, 8, 8]
    assert [face.nods for face in by_face] == [1.0, 0.0, 0.0]
    assert by_face[0].nods_by_chance == by_face[2].nods_by_chance == 0.0
    assert by_face[1].nods_by_chance > 0.1
    assert by_face[2].listening_speed == by_face[2].idle_speed == 0.0
    assert by_face[0].listening_speed > 0
    assert by_face[0].speaking_speed is None


def test_brows_that_rise_with_the_voice_follow_it_and_still_ones_are_not_measured() -> None:
    take, _ = caller_talks(6)
    loudness = Caller.of(take.conditions).loudness
    rising, falling = take.latents.copy(), take.latents.copy()
    rising[:, BROWS] += loudness[:, None]
    falling[:, BROWS] -= loudness[:, None]
    assert measured(take, rising).brows_follow == pytest.approx(1.0)
    assert measured(take, falling).brows_follow == pytest.approx(-1.0)
    assert measured(take, take.latents).brows_follow is None


def test_contact_is_what_the_eyes_do_and_not_what_the_head_does() -> None:
    take, _ = caller_talks(4)
    looks_away = take.latents.copy()
    looks_away[: 18 * CHUNK_FRAMES, GAZE.start] = 0.2
    turned = take.latents.copy()
    turned[:, YAW] = 0.2
    turned[:, GAZE.start] = 0.85 * 0.2
    assert measured(take, take.latents).contact == measured(take, turned).contact == 1.0
    assert measured(take, looks_away).contact == pytest.approx(0.5)


def test_the_rules_listen() -> None:
    take, conditions = caller_talks(40)
    stream = ProceduralMotion().open(np.zeros(LATENT_DIM, np.float32), seed=3)
    chunks = []
    for condition in conditions:
        stream.offer(condition)
        chunks.append(stream.next_chunk())
    face = measured(take, np.concatenate([chunk for chunk in chunks if chunk is not None]))
    assert face.nods > face.nods_by_chance + 0.3
    assert face.brows_follow > 0.2
    assert face.contact > 0.8
    assert face.idle_speed < face.listening_speed


def test_untrusted_clips_and_calls_without_a_caller_are_not_measured() -> None:
    take, _ = caller_talks(2)
    nothing = np.zeros(take.latents.shape, np.bool_)
    assert listening([take], [Clip(take.latents, nothing)]) is None
    quiet = replace(take, conditions=take.conditions[-30:], latents=take.latents[-240:])
    assert measured(quiet, quiet.latents) is None
    assert measured(take, take.latents).nods is None, "two pauses are too few"


def test_a_nod_comes_up_again() -> None:
    latents = np.zeros((25, LATENT_DIM), np.float32)
    latents[5:, PITCH] = np.radians(3)
    assert not nods(latents), "the head only sank"
    latents[15:, PITCH] = 0
    assert nods(latents)


def test_a_loop_repeats_itself_and_dice_do_not() -> None:
    dice = np.random.default_rng(5)
    kernel = np.hanning(25)[:, None]
    frames = 60 * FRAMES_PER_SECOND
    wander = np.stack(
        [np.convolve(dice.normal(size=frames), kernel[:, 0], "same") for _ in range(3)], 1
    )
    free, looped, still = np.zeros((3, frames, LATENT_DIM), np.float32)
    free[:, :3] = looped[:, :3] = 0.01 * wander
    looped[900:1100, :3] = looped[100:300, :3]
    assert repetition(looped) == pytest.approx(1.0, abs=1e-3)
    free_figure = repetition(free)
    assert free_figure is not None
    assert free_figure < 0.9
    assert repetition(still) is None
    assert repetition(free[:150]) is None, "two stretches of 4 s do not fit"
