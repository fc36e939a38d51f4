"""What is worn or held before a face: glasses keep their shape, a hidden mouth is refused."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.eyewear import shown_share
from actor_server.codec.mesh.latent import BROWS, GAZE, LIDS, MOUTH, portrait_latent
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.evaluation.overdrawing import glasses, microphone
from actor_server.portrait.intake import PortraitIntake
from actor_server.portrait.mouth_cover import covered_share
from tests.unit.actor_server.conftest import DEFAULT_AVATARS, default_picture

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", DEFAULT_AVATARS)
def test_glasses_hold_brows_and_dark_ones_the_eyes(intake: PortraitIntake, name: str) -> None:
    bare = intake.prepare(default_picture(name))
    assert (shown_share(bare.image, bare.landmarks) == 1).all()
    clear = shown_share(glasses(bare), bare.landmarks)
    assert clear[BROWS].max() < 0.5
    assert (clear[LIDS] == 1).all()
    dark = shown_share(glasses(bare, opacity=0.92), bare.landmarks)
    assert (dark[LIDS] == 0).all()
    assert (dark[GAZE] == 0).all()
    assert (dark[MOUTH] == 1).all()


def test_nothing_moves_on_dark_lenses(prepared: PreparedPortrait) -> None:
    worn = replace(prepared, image=glasses(prepared, opacity=0.92))
    decoder = MeshDecoder(MeshPortrait.build(worn))
    blink = portrait_latent()
    blink[LIDS], blink[GAZE] = 1.0, 0.4
    assert np.array_equal(decoder.render(blink), decoder.render(portrait_latent()))


@pytest.mark.parametrize("name", DEFAULT_AVATARS)
def test_a_microphone_before_the_lips_is_refused(intake: PortraitIntake, name: str) -> None:
    bare = intake.prepare(default_picture(name))
    assert covered_share(bare.image, bare.landmarks) < 0.2
    assert covered_share(microphone(bare), bare.landmarks) > 0.4


def test_the_refusal_says_what_to_do(intake: PortraitIntake, prepared: PreparedPortrait) -> None:
    picture = cv2.cvtColor(microphone(prepared), cv2.COLOR_RGB2BGR)
    verdict = intake.check(cv2.imencode(".png", picture)[1].tobytes())
    assert verdict.code == "mouth_hidden"
    assert "microphone" in verdict.hint


def test_lips_of_a_grey_picture_are_not_judged_by_colour(prepared: PreparedPortrait) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(prepared.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert covered_share(np.asarray(grey), prepared.landmarks) == 0
