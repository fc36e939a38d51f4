"""Frames: the portrait itself at rest, what a latent asks for otherwise, in the caller's buffer."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.codec.mesh.decoder import I420_SHAPE, MeshDecoder
from actor_server.codec.mesh.encoder import MeshEncoder
from actor_server.codec.mesh.expression import EYES, LEFT_EYE
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import (
    BREATH,
    GAZE,
    LATENT_DIM,
    LIDS,
    MOUTH,
    POSE,
    TRANSLATION,
    YAW,
    Latent,
    portrait_latent,
    speech_neutral_latent,
)
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.pose import rotation
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.codec.mesh.shaping import index, polygon_mask
from actor_server.evaluation.portrait_kinds import Sources, kinds
from actor_server.portrait.intake import PortraitIntake
from tests.unit.actor_server.conftest import DEFAULT_AVATARS, default_picture

pytestmark = pytest.mark.unit


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = ((one.astype(float) - other.astype(float)) ** 2).mean()
    return float(10 * np.log10(255**2 / error))


def reduced(prepared: PreparedPortrait) -> np.ndarray:
    return np.asarray(cv2.resize(prepared.image, (256, 256), interpolation=cv2.INTER_AREA))


def around(face: np.ndarray, indices: list[int], margin: int) -> tuple[slice, slice]:
    points = face[indices, :2] / 2
    low, high = points.min(0).astype(int) - margin, points.max(0).astype(int) + margin
    return slice(low[1], high[1]), slice(low[0], high[0])


@pytest.mark.parametrize("name", DEFAULT_AVATARS)
def test_at_rest_the_frame_is_the_portrait(intake: PortraitIntake, name: str) -> None:
    prepared = intake.prepare(default_picture(name))
    frame = MeshDecoder(MeshPortrait.build(prepared)).render_rgb(portrait_latent())
    assert psnr(frame, reduced(prepared)) > 34


def test_frames_are_written_into_the_callers_buffer(decoder: MeshDecoder) -> None:
    chunk = np.zeros((2, *I420_SHAPE), np.uint8)
    returned = decoder.render(portrait_latent(), chunk[1])
    assert returned is not None
    assert not chunk[0].any()
    rgb = cv2.cvtColor(chunk[1], cv2.COLOR_YUV2RGB_I420)
    assert psnr(rgb, decoder.render_rgb(portrait_latent())) > 30


def test_wrong_shapes_are_refused_by_name(decoder: MeshDecoder) -> None:
    with pytest.raises(ValueError, match=r"\(30,\).*\(31,\)"):
        decoder.render(np.zeros(LATENT_DIM - 1, np.float32))
    with pytest.raises(ValueError, match=r"\(256, 256\).*\(384, 256\)"):
        decoder.render(portrait_latent(), np.zeros((256, 256), np.uint8))


def test_rendering_is_repeatable_and_leaves_no_trace(decoder: MeshDecoder) -> None:
    first = decoder.render(portrait_latent()).copy()
    busy = portrait_latent()
    busy[MOUTH], busy[POSE], busy[LIDS] = 1.5, 0.15, 0.7
    decoder.render(busy)
    assert np.array_equal(decoder.render(portrait_latent()), first)


def changed(decoder: MeshDecoder, latent: Latent) -> np.ndarray:
    before = decoder.render_rgb(portrait_latent()).astype(int)
    return np.asarray(np.abs(decoder.render_rgb(latent).astype(int) - before).max(2))


def test_an_open_mouth_shows_its_dark_inside(
    decoder: MeshDecoder, prepared: PreparedPortrait
) -> None:
    mouth = around(prepared.landmarks, [61, 291, 0, 17], 2)
    open_wide = speech_neutral_latent()
    open_wide[MOUTH] = mouth_basis().solve(gap=0.3, chin=0.2)
    shut = decoder.render_rgb(speech_neutral_latent())[mouth].astype(float)
    opened = decoder.render_rgb(open_wide)[mouth].astype(float)
    assert np.percentile(opened.mean(2), 3) < np.percentile(shut.mean(2), 3) - 5


def test_nothing_shows_through_pressed_lips(portrait: MeshPortrait) -> None:
    before_green = replace(portrait, background=np.full((256, 256, 3), (0, 255, 0), np.uint8))
    pressed = speech_neutral_latent()
    pressed[MOUTH] = mouth_basis().solve(gap=-0.02, thickness=-0.05)
    mouth = around(portrait.vertices(pressed), [61, 291, 0, 17], 0)
    lips = MeshDecoder(before_green).render_rgb(pressed)[mouth].astype(int)
    assert (lips[..., 1] - lips[..., 0]).max() < 5


@pytest.mark.parametrize("name", ["kenji", "three-quarter", "far-turned"])
def test_the_far_cheek_is_not_seen_between_open_lips(intake: PortraitIntake, name: str) -> None:
    (kind,) = kinds(Sources(intake), (name,))
    portrait = MeshPortrait.build(intake.prepare(kind.picture))
    green = np.zeros_like(portrait.mouth.layers)
    green[..., (1, 3)] = 255
    portrait = replace(portrait, mouth=replace(portrait.mouth, layers=green))
    wide = speech_neutral_latent()
    wide[MOUTH] = mouth_basis().solve(gap=0.3, chin=0.15)
    lips = portrait.vertices(wide)[index(topology.LIP_INNER_UPPER + topology.LIP_INNER_LOWER[::-1])]
    inside = polygon_mask((256, 256), lips[:, :2] / 2) > 0
    inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    frame = MeshDecoder(portrait).render_rgb(wide)[inside].astype(int)
    assert len(frame) > 40
    assert (frame[:, 1] > frame[:, 0] + 20).mean() > 0.9


@pytest.mark.parametrize("name", DEFAULT_AVATARS)
def test_teeth_are_as_light_as_the_white_of_the_eye(intake: PortraitIntake, name: str) -> None:
    teeth = MeshPortrait.build(intake.prepare(default_picture(name))).mouth.layers[3]
    middle = teeth[40:70, 54:74, :3].astype(float).mean()
    assert 140 < middle < 225


def test_a_blink_stays_at_the_eyes(decoder: MeshDecoder, prepared: PreparedPortrait) -> None:
    blink = portrait_latent()
    blink[LIDS] = 1.0
    difference = changed(decoder, blink)
    eyes = np.zeros_like(difference, bool)
    eyes[around(prepared.landmarks, [33, 133, 159, 145], 14)] = True
    eyes[around(prepared.landmarks, [263, 362, 386, 374], 14)] = True
    assert difference[eyes].max() > 40
    assert difference[~eyes].max() < 16


def test_gaze_moves_the_iris_the_way_it_says(
    decoder: MeshDecoder, prepared: PreparedPortrait
) -> None:
    eye = around(prepared.landmarks, [33, 133, 159, 145], 1)

    def darkness_centre(x: float) -> float:
        latent = portrait_latent()
        latent[GAZE] = (x, 0)
        dark = 255.0 - decoder.render_rgb(latent)[eye].astype(float).mean(2)
        weight = dark**4
        return float((weight.sum(0) * np.arange(weight.shape[1])).sum() / weight.sum())

    assert darkness_centre(-0.4) < darkness_centre(0.0) < darkness_centre(0.4)


def test_breath_moves_the_chest_but_not_the_face(
    decoder: MeshDecoder, prepared: PreparedPortrait
) -> None:
    latent = portrait_latent()
    latent[BREATH] = 1.0
    difference = changed(decoder, latent)
    face = around(prepared.landmarks, [10, 234, 454, 17], 0)
    assert difference[face].max() <= 2
    assert difference[200:].max() > 10


def test_what_moves_in_over_the_lower_edge_goes_on_from_it(decoder: MeshDecoder) -> None:
    up = portrait_latent()
    up[TRANSLATION] = (0.0, -0.08)
    shirt = decoder.render_rgb(portrait_latent())[-3:, 100:150].astype(int)
    moved_in = decoder.render_rgb(up)[-3:, 100:150].astype(int)
    assert np.abs(moved_in - shirt).mean() < 8


def test_pose_beyond_the_limit_is_the_limit(decoder: MeshDecoder) -> None:
    far, limit = portrait_latent(), portrait_latent()
    far[YAW], limit[YAW] = 2.0, 0.30
    assert np.array_equal(decoder.render(far), decoder.render(limit))


@pytest.mark.parametrize("name", ["mara", "far-turned"])
@pytest.mark.parametrize("yaw", [-0.3, -0.11, 0.3])
def test_a_turned_head_has_no_rim(intake: PortraitIntake, name: str, yaw: float) -> None:
    """All is one grey: only where eyes are painted may anything else be seen."""
    (kind,) = kinds(Sources(intake), (name,))
    prepared = intake.prepare(kind.picture)
    portrait = MeshPortrait.build(replace(prepared, image=np.full_like(prepared.image, 200)))
    latent = portrait_latent()
    latent[YAW] = yaw
    frame = MeshDecoder(portrait).render_rgb(latent).astype(int)
    face = portrait.vertices(latent)
    for eye in EYES:
        frame[around(face, [*eye.upper, *eye.lower], 2)] = 200
    assert abs(frame - 200).max() <= 3


def test_a_cheek_that_the_portrait_hides_comes_out_less_than_its_depth_would_have_it(
    prepared: PreparedPortrait, portrait: MeshPortrait
) -> None:
    """daniel turns the right of the picture away by eleven degrees."""
    back = portrait_latent()
    back[YAW] = 0.2
    ear, corner = topology.EARS[1], LEFT_EYE.upper[0]
    deep = FaceGeometry.build(prepared.landmarks)
    turned = deep.turn_head(deep.vertices, back)
    rest, shown = portrait.geometry.vertices, portrait.vertices(back)
    at_depth = (turned[ear] - turned[corner] - rest[ear] + rest[corner])[0]
    comes_out = (shown[ear] - shown[corner] - rest[ear] + rest[corner])[0]
    assert at_depth > 10
    assert comes_out < 0.5 * at_depth


def test_a_portrait_turned_far_away_hardly_turns_back(prepared: PreparedPortrait) -> None:
    face = canonical_face()
    landmarks = 100 * face.vertices @ rotation(-0.74, 0.0, 0.0).T + 256
    back, further = portrait_latent(), portrait_latent()
    back[YAW], further[YAW] = 0.3, -0.3
    geometry = FaceGeometry.build(landmarks)
    nose = geometry.vertices[[topology.NOSE_TIP]]
    assert np.abs(geometry.turn_head(nose, back) - nose).max() < 4
    assert np.abs(geometry.turn_head(nose, further) - nose).max() > 15


def test_a_picture_moves_whole_when_nobody_stands_out(prepared: PreparedPortrait) -> None:
    nobody = PreparedPortrait(prepared.image, prepared.landmarks, np.ones_like(prepared.person))
    frame = MeshDecoder(MeshPortrait.build(nobody)).render_rgb(portrait_latent())
    assert psnr(frame, reduced(prepared)) > 34


def test_landmarks_found_in_frames_encode_to_what_was_asked_for(
    intake: PortraitIntake, portrait: MeshPortrait, decoder: MeshDecoder
) -> None:
    """The loop through pixels: the landmarker reads mouth, lids and yaw back from the frames."""
    encoder = MeshEncoder(portrait.geometry, portrait.expression)
    generator = np.random.default_rng(4)
    asked, seen = [], []
    for _ in range(24):
        latent = speech_neutral_latent()
        latent[MOUTH] = mouth_basis().solve(
            gap=generator.uniform(0.0, 0.3), width=generator.uniform(-0.12, 0.08)
        )
        latent[YAW] = generator.uniform(-0.2, 0.2)
        frame = cv2.resize(decoder.render_rgb(latent), (512, 512), interpolation=cv2.INTER_CUBIC)
        face = intake.landmarks(np.asarray(frame))
        asked.append(latent)
        seen.append(encoder.encode(face))
    gap = mouth_basis().features["gap"]

    def correlation(of: np.ndarray, to: np.ndarray) -> float:
        return float(np.corrcoef(of, to)[0, 1])

    a, s = np.array(asked), np.array(seen)
    assert correlation(a[:, MOUTH] @ gap, s[:, MOUTH] @ gap) > 0.95
    assert correlation(a[:, YAW], s[:, YAW]) > 0.95


def test_a_portrait_with_an_open_mouth_keeps_it_at_rest_and_closes_it_for_speech(
    intake: PortraitIntake, decoder: MeshDecoder
) -> None:
    laughing = speech_neutral_latent()
    laughing[MOUTH] = mouth_basis().solve(gap=0.3, width=0.05)
    frame = cv2.resize(decoder.render_rgb(laughing), (512, 512), interpolation=cv2.INTER_CUBIC)
    face = intake.landmarks(np.asarray(frame))
    picture = PreparedPortrait(np.asarray(frame), face, np.ones((512, 512), np.float32))
    portrait = MeshPortrait.build(picture)
    rest = portrait.geometry.vertices

    def gap(latent: Latent) -> float:
        shaped = portrait.expression.apply(rest, latent)
        between = shaped[14] - shaped[13]
        return float(between @ portrait.geometry.down) / portrait.geometry.alignment.scale

    assert gap(portrait_latent()) > 0.12
    assert gap(speech_neutral_latent()) == pytest.approx(0, abs=0.01)
    assert psnr(MeshDecoder(portrait).render_rgb(portrait_latent()), reduced(picture)) > 32
