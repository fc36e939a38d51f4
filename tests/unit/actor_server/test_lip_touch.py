"""Lips that touch sooner or later than they do, to choose how soon they should."""

import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.expression import LIPS_TOUCH
from actor_server.codec.mesh.latent import MOUTH, speech_neutral_latent
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.evaluation.lip_touch import touching
from actor_server.evaluation.rendered import Avatar

pytestmark = pytest.mark.unit


def gap_of(avatar: Avatar) -> float:
    """Between the inner lips of a mouth that is nearly shut, crop pixels."""
    latent = speech_neutral_latent()
    latent[MOUTH] = mouth_basis().solve(gap=0.04)
    face = avatar.decoder.portrait.vertices(latent)
    return float(face[topology.INNER_LIP_BOTTOM, 1] - face[topology.INNER_LIP_TOP, 1])


def test_lips_that_touch_from_further_away_are_nearer(portrait: MeshPortrait) -> None:
    avatar = Avatar("any", MeshDecoder(portrait), np.zeros((512, 512, 3), np.uint8))
    gaps = [gap_of(touching(avatar, width)) for width in (0.0, 0.05, 0.1)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gap_of(avatar) == gap_of(touching(avatar, LIPS_TOUCH))
