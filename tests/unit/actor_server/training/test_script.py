"""Turns, scripts and their performance: the model is told what a call tells it."""

from itertools import pairwise

import numpy as np
import pytest

from actor_server.codec.mesh.latent import GAZE, LIDS, MOUTH, POSE
from actor_server.motion.conditioning import KINDS, Visibility, condition_arrays
from actor_server.motion.source import Condition, HeardWindow
from actor_server.speech_queue import TurnSpeech
from actor_server.training.disguise import Disguise
from actor_server.training.script import Beat, Heard, Recorded, Script, lay_over, perform
from actor_server.training.turns import Telling, heard_chunks, joined_clips
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import AUDIO_TOKEN_US
from tests.unit.actor_server.training.material import SPEECH, grid_clip, recited_parts

pytestmark = pytest.mark.unit

SIGHT = Visibility(history_tokens=4, lookahead_tokens=2, state_width=576)
PLAIN = Telling(Disguise(), with_phones=True, with_text=True, lead_parts=0)
NOBODY = HeardWindow(False, np.zeros((0, TOKEN_MEL_FRAMES, MEL_BINS), np.float32))
SOMEBODY = HeardWindow(True, np.full((4, TOKEN_MEL_FRAMES, MEL_BINS), 0.3, np.float32))


def heard(telling: Telling = PLAIN) -> list[Heard]:
    return heard_chunks(recited_parts(SPEECH), 1, SIGHT, telling, seed=0)


def test_a_plain_turn_is_what_a_call_would_condition_on() -> None:
    parts = recited_parts(SPEECH)
    queue = TurnSpeech(1, SIGHT.history_tokens, SIGHT.lookahead_tokens)
    told = heard()
    for chunk in told:
        while parts and not queue.ready:
            queue.extend(parts.pop(0))
        called = condition_arrays(Condition("speaking", 0, queue.cut().window), SIGHT)
        built = condition_arrays(Condition("speaking", 0, chunk.told), SIGHT)
        for name in vars(called):
            np.testing.assert_array_equal(getattr(called, name), getattr(built, name), name)
    assert queue.finished
    assert told[-1].told.last


def test_text_comes_no_sooner_than_its_part() -> None:
    late = condition_arrays(Condition("speaking", 0, heard()[0].told), SIGHT)
    ahead = Telling(Disguise(), with_phones=True, with_text=True, lead_parts=12)
    early = condition_arrays(Condition("speaking", 0, heard(ahead)[0].told), SIGHT)
    assert 0 < late.text_seen.sum() < early.text_seen.sum()


def test_phones_and_text_can_be_kept_from_the_model_but_not_from_the_teacher() -> None:
    chunk = heard(Telling(Disguise(), with_phones=False, with_text=False, lead_parts=0))[0]
    assert chunk.told.phones is None
    assert chunk.told.text_states is None
    assert chunk.clean.phones is not None
    disguised = heard(Telling(Disguise(gain_db=4.0), True, True, 0))[0]
    seen = disguised.told.heard
    louder = disguised.told.features[seen] - disguised.clean.features[seen]
    np.testing.assert_allclose(louder, 0.1, atol=2e-3)


def test_clips_join_on_tokens_with_silence_between_them() -> None:
    clips = [grid_clip("a"), grid_clip("b", frames=74), grid_clip("c")]
    joined = joined_clips(clips, np.random.default_rng(1))
    assert all(start % 2 == 0 for start in joined.starts)
    assert joined.starts[1] - 75 >= 4
    message = joined.message
    assert message.audio_tokens * 2 >= joined.starts[2] + 75
    hops = np.asarray(message.features).reshape(-1, MEL_BINS)
    for start in joined.starts:
        voiced = slice(4 * start + 100, 4 * start + 200)
        assert hops[voiced].min() > 0.2
    phones = message.phones or ()
    assert phones[0].start_us == 0
    assert phones[-1].end_us == message.audio_tokens * AUDIO_TOKEN_US
    assert all(one.end_us == two.start_us for one, two in pairwise(phones))
    assert [p.symbol for p in phones if p.symbol != "SIL"] == ["AA"] * 3


def test_recorded_motion_replaces_mouth_lids_and_gaze_and_only_they_are_trusted() -> None:
    frames = np.zeros((200, 31), np.float32)
    frames[:, POSE.start] = 0.1
    trusted = np.ones(frames.shape, np.bool_)
    lay_over(frames, trusted, Recorded(40, grid_clip()))
    inside = slice(43, 112)
    assert (frames[inside, MOUTH] == 1.0).all()
    assert (frames[inside, LIDS] == 0.5).all()
    # the head is turned, the eyes are not
    np.testing.assert_allclose(frames[inside, GAZE], [[0.25 + 0.085, 0.25]] * 69, atol=1e-6)
    assert trusted[inside, MOUTH].all()
    assert trusted[inside, GAZE].all()
    assert not trusted[40:115, :6].any()
    assert not trusted[40:43].any()
    assert not trusted[112:115].any()
    assert trusted[:40].all()
    assert trusted[115:].all()
    assert (np.diff(frames[38:45, MOUTH.start]) < 0.3).all()


def test_nobody_learns_from_frames_that_the_tracker_lost() -> None:
    clip = grid_clip()
    clip.usable[30:33] = False
    clip.sees[30:35] = False
    frames = np.zeros((80, 31), np.float32)
    trusted = np.ones(frames.shape, np.bool_)
    lay_over(frames, trusted, Recorded(0, clip))
    assert not trusted[30:33].any()
    assert (frames[30:33, MOUTH] == 0).all()
    assert trusted[33, MOUTH].all()
    assert not trusted[33, GAZE].any()
    assert trusted[36, GAZE].all()


def test_the_face_listens_for_a_while_after_the_caller() -> None:
    beats = [Beat(None, NOBODY)] + [Beat(None, SOMEBODY)] * 2 + [Beat(None, NOBODY)] * 7
    sequence = perform(Script("mixed", tuple(beats)), SIGHT, seed=1)
    kinds = [KINDS[conditions.kind] for conditions in sequence.conditions]
    assert kinds == ["idle"] + ["listening"] * 6 + ["idle"] * 3
    assert sequence.latents.shape == (10, 8, 31)


def test_a_performance_repeats_and_a_chunk_without_look_ahead_shows_none() -> None:
    beats = tuple(Beat(chunk, NOBODY, blind=place == 2) for place, chunk in enumerate(heard()))
    script = Script("spoken", beats, warm_up=4)
    one, two = perform(script, SIGHT, seed=5), perform(script, SIGHT, seed=5)
    np.testing.assert_array_equal(one.latents, two.latents)
    blind, other = one.conditions[2], one.conditions[3]
    assert not blind.audio_seen[8:].any()
    assert not blind.audio[8:].any()
    assert not blind.phones[8:].any()
    assert blind.audio_seen[:8].all()
    assert other.audio_seen.all()
