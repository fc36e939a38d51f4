"""The mesh has its parts, lips never cross, and the encoder inverts the decoder's geometry."""

from dataclasses import replace

import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.encoder import MeshEncoder
from actor_server.codec.mesh.expression import EYES, lid_opening
from actor_server.codec.mesh.geometry import FaceGeometry
from actor_server.codec.mesh.latent import (
    BROWS,
    LATENT_DIM,
    LATENT_STD,
    LIDS,
    MOUTH,
    POSE,
    POSE_LIMIT_RAD,
    REST,
    Latent,
    portrait_latent,
    speech_neutral_latent,
)
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import PreparedPortrait

pytestmark = pytest.mark.unit

UPPER, LOWER = list(topology.LIP_INNER_UPPER), list(topology.LIP_INNER_LOWER)


def random_latent(generator: np.random.Generator) -> Latent:
    latent = (generator.normal(size=LATENT_DIM) * LATENT_STD).astype(np.float32)
    latent[POSE] = np.clip(latent[POSE], -np.array(POSE_LIMIT_RAD), POSE_LIMIT_RAD)
    latent[LIDS] = np.clip(latent[LIDS], -0.4, 0.95)
    latent[REST] = generator.uniform()
    return latent


def lip_gaps(portrait: MeshPortrait, latent: Latent) -> np.ndarray:
    shaped = portrait.expression.apply(portrait.geometry.vertices, latent)
    gaps: np.ndarray = (shaped[LOWER] - shaped[UPPER]) @ portrait.geometry.down
    return gaps[1:-1]


def test_the_mesh_has_face_and_surroundings(prepared: PreparedPortrait) -> None:
    geometry = FaceGeometry.build(prepared.landmarks)
    assert len(geometry.face_triangles) == 852
    assert 920 <= len(geometry.vertices) <= 960
    assert 1680 <= len(geometry.face_triangles) + len(geometry.outer_triangles) <= 1760
    used = np.unique(np.concatenate([geometry.face_triangles, geometry.outer_triangles]))
    assert set(range(478, len(geometry.vertices))) <= set(used.tolist())


def test_triangles_that_show_only_background_are_not_drawn(
    portrait: MeshPortrait, prepared: PreparedPortrait
) -> None:
    whole = FaceGeometry.build(prepared.landmarks).outer_triangles
    drawn = portrait.geometry.outer_triangles
    assert 0.3 * len(whole) < len(drawn) < 0.9 * len(whole)


def test_the_head_moves_as_one_and_the_torso_hardly(portrait: MeshPortrait) -> None:
    weight = portrait.geometry.head_weight
    assert (weight[:478] == 1).all()
    lowest = portrait.geometry.vertices[:, 1].argmax()
    assert weight[lowest] < 0.2


def test_the_portrait_latent_moves_no_vertex(portrait: MeshPortrait) -> None:
    placed = portrait.vertices(portrait_latent())
    np.testing.assert_allclose(placed, portrait.geometry.vertices, atol=1e-9)


def test_lips_never_pass_through_each_other(portrait: MeshPortrait) -> None:
    generator = np.random.default_rng(5)
    for _ in range(100):
        latent = random_latent(generator)
        latent[MOUTH] *= 2
        assert lip_gaps(portrait, latent).min() >= -1e-9


def test_speech_neutral_has_closed_lips(portrait: MeshPortrait) -> None:
    gap = lip_gaps(portrait, speech_neutral_latent()).max() / portrait.geometry.alignment.scale
    assert gap < 0.035


def test_lips_that_come_near_each_other_touch(portrait: MeshPortrait) -> None:
    expression = portrait.expression
    for_ever_apart = replace(portrait, expression=replace(expression, touch=0.0))
    before, after = [], []
    for gap in np.linspace(-0.02, 0.2, 12):
        latent = speech_neutral_latent()
        latent[MOUTH] = mouth_basis().solve(gap=gap)
        before.append(lip_gaps(for_ever_apart, latent))
        after.append(lip_gaps(portrait, latent))
    apart, met = np.array(before), np.array(after)
    wide = apart >= expression.touch
    assert wide.any()
    np.testing.assert_allclose(met[wide], apart[wide])
    near = (apart > 0) & (apart < 0.5 * expression.touch)
    assert near.any()
    assert (met[near] <= 0.5 * apart[near] + 1e-9).all()
    order = np.argsort(apart, axis=None)
    assert (np.diff(met.ravel()[order]) >= -1e-9).all()  # more open stays more open


def test_closed_lids_meet_and_wide_ones_part(portrait: MeshPortrait) -> None:
    rest = portrait.geometry.vertices
    closed, wide = portrait_latent(), portrait_latent()
    closed[LIDS], wide[LIDS] = 1.0, -0.4
    for eye in EYES:
        before = lid_opening(rest, eye)
        assert lid_opening(portrait.expression.apply(rest, closed), eye) < 0.01 * before
        assert lid_opening(portrait.expression.apply(rest, wide), eye) > 1.2 * before


def test_raised_brows_rise(portrait: MeshPortrait) -> None:
    raised = portrait_latent()
    raised[BROWS] = 1.0
    shaped = portrait.expression.apply(portrait.geometry.vertices, raised)
    lift = (portrait.geometry.vertices - shaped) @ portrait.geometry.down
    assert lift[list(topology.RIGHT_BROW + topology.LEFT_BROW)].min() > 0.5


def test_encoding_inverts_decoding(portrait: MeshPortrait) -> None:
    encoder = MeshEncoder(portrait.geometry, portrait.expression)
    generator = np.random.default_rng(1)
    tried = 0
    while tried < 25:
        latent = random_latent(generator)
        if lip_gaps(portrait, latent).min() <= 1e-6:
            continue  # lips that meet forget how hard they were pressed: see the next test
        tried += 1
        seen = portrait.vertices(latent)[:478]
        encoded = encoder.encode(seen, rest=float(latent[REST]), breath=float(latent[-1]))
        np.testing.assert_allclose(encoded, latent, atol=5e-4)


def test_pressed_lips_encode_to_a_latent_that_looks_the_same(portrait: MeshPortrait) -> None:
    encoder = MeshEncoder(portrait.geometry, portrait.expression)
    generator = np.random.default_rng(2)
    for _ in range(10):
        latent = random_latent(generator)
        latent[MOUTH] *= 0.5
        seen = portrait.vertices(latent)[:478]
        again = portrait.vertices(encoder.encode(seen, rest=float(latent[REST])))[:478]
        error = np.linalg.norm((again - seen)[list(topology.LIPS)], axis=1)
        assert error.max() < 1.5  # of 512 pixels


def test_the_encoder_ignores_where_a_tracker_puts_depth_zero(portrait: MeshPortrait) -> None:
    encoder = MeshEncoder(portrait.geometry, portrait.expression)
    latent = portrait_latent()
    latent[POSE] = (0.1, -0.05, 0.04)
    seen = portrait.vertices(latent)[:478]
    encoded = encoder.encode(seen + np.array([0, 0, 25.0]), rest=1.0)
    np.testing.assert_allclose(encoded, latent, atol=1e-3)
