"""Figures of lips, head and lids on motion whose figures are known."""

import numpy as np
import pytest

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.latent import (
    LATENT_DIM,
    LIDS,
    MOUTH,
    POSE,
    YAW,
    speech_neutral_latent,
)
from actor_server.codec.mesh.pose import rotation
from actor_server.evaluation.articulation import CLOSED, articulation, middle_frame
from actor_server.evaluation.lip_track import LipTrack, eye_distance
from actor_server.evaluation.liveliness import Clip, head_speed, liveliness, seam_ratio
from actor_server.evaluation.takes import Take
from actor_server.motion.source import Floats
from proto.time_law import CHUNK_FRAMES
from tests.unit.actor_server.talks import parted, take

pytestmark = pytest.mark.unit


def spoken_with(gaps: dict[str, float]) -> tuple[Take, LipTrack]:
    """A take, and lips that part as said in the middle of each phone and half of it elsewhere."""
    one = take(1)
    wanted = np.zeros(one.frames)
    for phone in one.phones:
        wanted[phone.start_us // 40_000 : phone.end_us // 40_000] = 0.5 * gaps[phone.symbol]
    for phone in one.phones:
        if middle_frame(phone) < one.frames:
            wanted[middle_frame(phone)] = gaps[phone.symbol]
    return one, LipTrack.of_latents(parted(wanted))


GAPS = {"M": 0.01, "B": 0.02, "P": 0.2, "AA": 0.15} | {
    "EY": 0.144,
    "S": 0.095,
    "UW": 0.05,
    "IY": 0.08,
}


def test_the_aperture_of_a_phone_is_the_gap_in_its_middle() -> None:
    one, track = spoken_with(GAPS)
    figures = articulation([one], [track])
    assert set(figures.apertures) == set(GAPS)
    for symbol, gap in GAPS.items():
        assert figures.apertures[symbol] == pytest.approx(gap, abs=1e-6)


def test_lips_that_stay_apart_in_one_of_three_bilabials_are_counted() -> None:
    one, track = spoken_with(GAPS | {"P": 4 * CLOSED})
    figures = articulation([one], [track])
    shut, all_ = figures.counts["M"] + figures.counts["B"], sum(figures.counts[s] for s in "MBP")
    assert figures.closure_rate == pytest.approx(shut / all_, abs=0.02)
    one, track = spoken_with(GAPS | {"P": 0.0})
    assert articulation([one], [track]).closure_rate == 1.0


def test_error_against_the_corpus_is_the_mean_over_its_phones() -> None:
    one, track = spoken_with(GAPS | {"M": 0.026, "B": 0.019, "P": 0.022 + 0.06})
    assert articulation([one], [track]).aperture_error == pytest.approx(0.06 / 6, abs=1e-6)


def test_the_stored_lips_agree_with_themselves_and_half_of_them_is_half_as_large() -> None:
    one, _ = spoken_with(GAPS)
    half = one.latents * np.float32(0.5)
    itself = articulation([one], [LipTrack.of_latents(one.latents)])
    smaller = articulation([one], [LipTrack.of_latents(half)])
    assert itself.gap_correlation == pytest.approx(1.0)
    assert smaller.gap_size == pytest.approx(0.5, abs=1e-6)


def test_lips_found_in_pictures_are_those_of_the_latents_whatever_the_head_does() -> None:
    latents = parted(np.array([0.0, 0.05, 0.12]))
    latents[:, MOUTH.start + 1] += 0.7
    face = canonical_face().vertices
    clip = []
    for number, latent in enumerate(latents):
        shown = face + mouth_basis().displace(latent[MOUTH])
        clip.append(90 * shown @ rotation(0.2 * number, 0.1, -0.1).T + [130, 120, 5])
    closed = 60 * face @ rotation(0.05, 0, 0).T
    seen = LipTrack.of_landmarks(np.stack(clip), closed)
    told = LipTrack.of_latents(latents)
    np.testing.assert_allclose(seen.gap, told.gap, atol=2e-4)
    np.testing.assert_allclose(seen.points, told.points, atol=1e-3)


def test_eye_distance_is_from_outer_corner_to_outer_corner() -> None:
    assert 1.3 < eye_distance() < 1.6


def everything(latents: Floats) -> Clip:
    return Clip(latents, np.ones(latents.shape, np.bool_))


def still(frames: int) -> Floats:
    return np.tile(speech_neutral_latent(), (frames, 1))


def test_a_static_face_has_no_motion() -> None:
    figures = liveliness([everything(still(100))])
    moving = (figures.yaw_sd, figures.pitch_sd, figures.roll_sd, figures.head_speed)
    assert moving == (0, 0, 0, 0)
    assert (figures.head_jerk, figures.lip_jerk, figures.upper_face_sd) == (0, 0, 0)
    assert figures.blinks_per_minute == 0
    assert figures.head_seam is None


def test_a_head_that_turns_evenly_has_its_speed_and_no_jerk() -> None:
    latents = still(26)
    latents[:, YAW] = np.radians(np.linspace(-10, 10, 26))
    figures = liveliness([everything(latents)])
    assert figures.head_speed == pytest.approx(20.0, rel=1e-3)
    assert figures.yaw_sd == pytest.approx(np.linspace(-10, 10, 26).std(), rel=1e-3)
    assert figures.head_jerk == pytest.approx(0.0, abs=1.0)
    assert figures.head_seam == pytest.approx(1.0, abs=1e-3)


def test_speed_of_a_tilted_head_is_the_angle_between_its_places() -> None:
    pose = np.array([[0.0, 0.3, 0.0], [0.3, 0.3, 0.2]], np.float32)
    places = [rotation(*(float(angle) for angle in row)) for row in pose]
    cosine = (np.trace(places[0].T @ places[1]) - 1) / 2
    assert head_speed(pose)[0] == pytest.approx(np.degrees(np.arccos(cosine)) * 25, rel=1e-4)


def test_blinks_are_counted_by_the_minute() -> None:
    latents = still(750)
    for start in (40, 300, 320, 700):
        latents[start : start + 4, LIDS] = 0.9
    latents[500:505, LIDS] = 0.3
    assert liveliness([everything(latents)]).blinks_per_minute == pytest.approx(8.0)


def test_a_jump_at_every_chunk_shows_as_a_seam() -> None:
    steps = np.full(80, 0.01)
    steps[::CHUNK_FRAMES] = 0.05
    track = np.cumsum(steps)[:, None].astype(np.float32)
    assert seam_ratio([track]) == pytest.approx(5.0, rel=1e-3)


def test_what_is_not_trusted_is_not_measured() -> None:
    latents = np.random.default_rng(0).normal(size=(50, LATENT_DIM)).astype(np.float32)
    trusted = np.ones(latents.shape, np.bool_)
    trusted[3, POSE] = False
    trusted[:, LIDS] = False
    figures = liveliness([Clip(latents, trusted)])
    assert figures.yaw_sd is None
    assert figures.blinks_per_minute is None
    assert figures.upper_face_sd is not None
    assert liveliness([everything(latents)]).yaw_sd is not None
