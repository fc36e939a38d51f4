"""Laws of the procedural motion: continuity, rollback, closures, stillness, bounded memory."""

import pickle

import numpy as np
import pytest

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import (
    BROWS,
    LIDS,
    MOUTH,
    POSE,
    POSE_LIMIT_RAD,
    REST,
    TRANSLATION,
    portrait_latent,
)
from actor_server.motion.procedural import REMEMBERED_CHUNKS, ProceduralMotion, ProceduralStream
from actor_server.motion.source import Condition, Floats
from actor_server.speech_queue import TurnSpeech
from tests.unit.actor_server.conditions import (
    LONG,
    idle,
    listening,
    mixed_conditions,
    parts_of,
    play,
    reply,
    speaking,
)

pytestmark = pytest.mark.unit


def open_stream(seed: int = 1) -> ProceduralStream:
    return ProceduralMotion().open(portrait_latent(), seed)


def gaps(latents: Floats) -> np.ndarray:
    """Inner lip gap of each frame, inter-iris distances."""
    return np.asarray(latents[:, MOUTH] @ mouth_basis().features["gap"])


def test_a_call_begins_at_the_portrait() -> None:
    first = play(open_stream(), [idle()])[0]
    assert np.abs(first[POSE]).max() < np.radians(0.3)
    assert first[REST] == 1.0
    assert np.all(first[MOUTH] == 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_pose_never_jumps_whatever_follows_whatever(seed: int) -> None:
    latents = play(open_stream(seed), mixed_conditions(seed, 120))
    speed = np.abs(np.diff(latents[:, POSE], axis=0))
    assert np.degrees(speed).max() < 2.0  # 50 degrees a second
    change = np.abs(np.diff(latents[:, POSE], n=2, axis=0))
    assert np.degrees(change).max() < 1.2
    assert np.abs(np.diff(latents[:, TRANSLATION], axis=0)).max() < 0.01
    assert np.abs(np.diff(latents[:, BROWS], axis=0)).max() < 0.35
    assert np.abs(np.diff(latents[:, REST])).max() < 0.21


@pytest.mark.parametrize("seed", range(3))
def test_the_lips_never_jump_whatever_follows_whatever(seed: int) -> None:
    opening = gaps(play(open_stream(seed), mixed_conditions(seed, 120)))
    assert np.abs(np.diff(opening)).max() < 0.22
    assert opening.min() > -0.06
    assert opening.max() < 0.32


@pytest.mark.parametrize("symbol", ["B", "P", "M"])
@pytest.mark.parametrize(
    ("vowel", "opens"), [("AA", 0.05), ("EY", 0.05), ("IY", 0.04), ("UW", 0.015)]
)
def test_lips_close_for_every_bilabial(symbol: str, vowel: str, opens: float) -> None:
    phones = " ".join([vowel, symbol] * 12)
    whole = reply(phones)
    opening = gaps(play(open_stream(), speaking(whole)))
    assert whole.phones is not None
    closures = [
        opening[phone.start_us // 40_000 : -(-phone.end_us // 40_000)].min()
        for phone in whole.phones
        if phone.symbol == symbol
    ]
    closed = np.mean(np.array(closures) <= 0.03)
    assert closed >= 0.95
    assert opening.max() > opens


@pytest.mark.parametrize("symbol", ["F", "V"])
def test_the_lower_lip_meets_the_teeth_for_f_and_v(symbol: str) -> None:
    opening = gaps(play(open_stream(), speaking(reply(" ".join(["EH", symbol] * 8)))))
    middles = [round((n + 0.5) * 2.5) for n in range(1, 16, 2)]
    assert np.median(opening[middles]) <= 0.05


def test_open_vowels_open_the_mouth_more_than_closed_ones() -> None:
    def mean_gap(phones: str) -> float:
        return float(gaps(play(open_stream(), speaking(reply(phones)))).mean())

    assert mean_gap("D EY " * 8) > mean_gap("D UW " * 8) + 0.03
    assert mean_gap("K AA " * 8) > mean_gap("W UW " * 8) + 0.03


@pytest.mark.parametrize("kind", ["idle", "listening"])
def test_the_mouth_is_still_when_there_is_nothing_to_say(kind: str) -> None:
    conditions = [idle() if kind == "idle" else listening(0.3) for _ in range(50)]
    latents = play(open_stream(), conditions)
    assert np.all(latents[:, MOUTH] == 0.0)
    assert np.all(latents[:, REST] == 1.0)


def test_a_long_pause_inside_a_reply_closes_the_mouth() -> None:
    latents = play(open_stream(), speaking(reply("AA " * 8 + "SIL " * 10 + "AA " * 8)))
    pause = latents[27:40]
    assert np.abs(gaps(pause)).max() < 0.02
    assert gaps(latents[:18]).max() > 0.08


def test_a_phone_stretched_over_silence_does_not_hold_the_mouth_open() -> None:
    whole = reply("D AA " * 4 + "SIL " * 8)
    assert whole.phones is not None
    late = whole.phones[7].model_copy(update={"end_us": whole.phones[-1].end_us})
    stretched = whole.model_copy(update={"phones": (*whole.phones[:7], late)})
    latents = play(open_stream(), speaking(stretched))
    assert gaps(latents[10:20]).max() > 0.08
    assert np.abs(gaps(latents[28:38])).max() < 0.02


def test_an_interrupted_mouth_is_closed_within_three_frames() -> None:
    stream = open_stream()
    spoken = play(stream, speaking(reply("AA " * 30))[:4])
    after = play(stream, [idle(2)])
    assert gaps(spoken[-1:])[0] > 0.08
    assert np.abs(gaps(after)[2]) <= 0.1 * gaps(spoken[-1:])[0]
    assert np.abs(after[3:, MOUTH]).max() == 0.0


def test_lips_move_from_features_alone_and_rest_in_silence() -> None:
    whole = reply("AA M " * 6 + "SIL " * 10, with_phones=False)
    assert whole.features is not None
    features = whole.features.copy()
    features[:15, :, :20] += np.float16(0.4)  # a vowel's low formants
    voiced = whole.model_copy(update={"features": features})
    latents = play(open_stream(), speaking(voiced))
    assert gaps(latents[4:24]).max() > 0.05
    assert np.abs(gaps(latents[38:48])).max() < 0.02


def test_parts_that_arrive_one_by_one_give_almost_the_same_lips() -> None:
    whole = reply(LONG)
    speech = TurnSpeech(1, history_tokens=4, lookahead_tokens=0)
    waiting = parts_of(whole, [4, 22, 26, 26, 26, 26])
    conditions: list[Condition] = []
    while waiting or speech.ready:
        while waiting and not speech.ready:
            speech.extend(waiting.pop(0))
        conditions.append(Condition("speaking", 1, speech.cut().window))
    streamed = gaps(play(open_stream(), conditions))
    at_once = gaps(play(open_stream(), speaking(whole)))
    assert np.corrcoef(streamed, at_once)[0, 1] > 0.97


def test_memory_does_not_grow_over_two_thousand_chunks() -> None:
    stream = open_stream()
    conditions = mixed_conditions(2, REMEMBERED_CHUNKS + 20)
    play(stream, conditions)
    early = len(pickle.dumps(stream))
    while stream.chunks < 2000:
        play(stream, [*conditions[:5], *[idle()] * 45])
    late = len(pickle.dumps(stream))
    assert late < 1.05 * early + 2000


def test_a_talking_head_moves_like_a_talking_head() -> None:
    latents = np.concatenate(
        [play(open_stream(seed), speaking(reply(LONG)) * 6) for seed in range(5)]
    )
    deviation = np.degrees(latents[:, POSE].std(0))
    assert np.all(deviation > [2.6, 1.9, 1.8])
    assert np.all(deviation < [4.8, 4.0, 3.8])
    assert np.all(np.abs(latents[:, POSE]) <= np.array(POSE_LIMIT_RAD, np.float32))
    closing = (latents[1:, LIDS.start] > 0.5) & (latents[:-1, LIDS.start] <= 0.5)
    minutes = len(latents) / 25 / 60
    assert 14 <= closing.sum() / minutes <= 27


def test_idling_is_calmer_than_speaking() -> None:
    calm = play(open_stream(), [idle()] * 200)
    lively = play(open_stream(), speaking(reply(LONG)) * 8)
    assert (
        np.abs(np.diff(calm[:, POSE], axis=0)).mean()
        < 0.5 * np.abs(np.diff(lively[:, POSE], axis=0)).mean()
    )


def test_nothing_repeats_within_a_minute_of_idling() -> None:
    pose = play(open_stream(), [idle()] * 375)[:, POSE]
    pose = pose[250:]
    for lag in range(125, 1500, 5):
        earlier, later = pose[:-lag], pose[lag:]
        assert np.abs(earlier - later)[:500].mean() > np.radians(0.15)


def test_the_listener_nods_when_the_caller_pauses() -> None:
    talk = ([listening(0.3)] * 6 + [listening(-1.4)] * 4) * 10
    pitch = play(open_stream(), talk)[:, POSE.start + 1].reshape(10, 80)
    dips = [rows[48:70].max() - rows[46] for rows in pitch]
    assert np.degrees(np.median(dips)) > 1.0


def test_the_eyes_stay_on_the_caller_while_the_head_turns() -> None:
    latents = play(open_stream(3), [listening(0.3)] * 100)
    yaw, gaze = latents[:, 0], latents[:, 24]
    assert np.corrcoef(yaw, gaze)[0, 1] > 0.6
