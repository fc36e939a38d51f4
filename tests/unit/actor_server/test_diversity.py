"""Performances with other seeds: how far apart, and that they are reproducible."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.latent import BROW_LEFT, GAZE, LATENT_DIM, YAW
from actor_server.evaluation.actor_system import Actor
from actor_server.evaluation.diversity import Seeded, diversities, diversity, placed_landmarks
from actor_server.evaluation.rendered import Avatar
from actor_server.evaluation.systems import Procedural, StaticFace
from actor_server.model.geometry import TINY
from actor_server.weights import SamplerDefaults
from proto.time_law import CHUNK_FRAMES
from tests.unit.actor_server.talks import SIGHT, take
from tests.unit.actor_server.tiny_actor import tiny_actor

pytestmark = pytest.mark.unit


def test_distances_are_the_mean_over_all_pairs_and_groups_are_apart() -> None:
    performed = [np.zeros((50, LATENT_DIM), np.float32) for _ in range(3)]
    performed[1][:, YAW] = np.radians(6)
    performed[2][:, GAZE] = [0.3, 0.4]
    performed[2][25:, BROW_LEFT] = 2.0
    found = diversity("made up", [take(1)], performed, None)
    assert found.head == pytest.approx((6 + 0 + 6) / 3, rel=1e-5)
    assert found.gaze == pytest.approx((0 + 0.5 + 0.5) / 3, rel=1e-5)
    assert found.brows == pytest.approx((0 + 1 + 1) / 3, rel=1e-5)
    assert found.gap == 0
    assert (found.seeds, found.landmarks) == (3, None)


def test_the_same_seed_moves_alike_and_another_does_not(decoder: MeshDecoder) -> None:
    takes = [take(seed, chunks=12) for seed in (1, 2)]
    geometry = replace(TINY, latent_dim=LATENT_DIM, grid=(CHUNK_FRAMES, 1, 1), sight=SIGHT)
    actor = Actor("Actor", tiny_actor(geometry, seed=7), SamplerDefaults(steps=2, window=1))
    avatar: Any = Avatar("daniel", decoder, np.zeros((512, 512, 3), np.uint8))
    still, teacher, model = diversities(takes, [StaticFace(), Procedural(), actor], 2, avatar)
    assert still.head == still.landmarks == still.gaze == still.gap == 0
    assert teacher.head > 0.5
    assert teacher.landmarks is not None
    assert teacher.landmarks > 0.005
    assert model.head > 0
    systems: list[Seeded] = [Procedural(), actor]
    for system in systems:
        once, again, other = (system.with_seed(seed).perform(takes) for seed in (3, 3, 4))
        np.testing.assert_array_equal(once[0], again[0])
        assert (once[0] != other[0]).any()


def test_landmarks_are_where_the_decoder_draws_them(decoder: MeshDecoder) -> None:
    avatar = Avatar("daniel", decoder, np.zeros((512, 512, 3), np.uint8))
    latents = np.zeros((2, LATENT_DIM), np.float32)
    latents[1, YAW] = 0.2
    still, turned = placed_landmarks(avatar, latents)
    right, left = still[33], still[263]
    assert np.linalg.norm(right - left) == pytest.approx(1, abs=0.02)
    # a positive yaw turns the nose to the viewer's left
    assert turned[1, 0] < still[1, 0] - 0.05
