"""What is drawn of eyes and mouth stands in the light of the picture."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from actor_server.codec.mesh.expression import EYES
from actor_server.codec.mesh.eye_textures import EyeTextures
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import Image, PreparedPortrait
from actor_server.codec.mesh.whites import as_white, eye_white
from actor_server.evaluation.overdrawing import LAMP, SCREEN, in_light
from actor_server.portrait.intake import PortraitIntake
from tests.unit.actor_server.conftest import DEFAULT_AVATARS, default_picture

pytestmark = pytest.mark.unit

LIGHTS = {"lamp": LAMP, "screen": SCREEN}


def shares(colours: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of red, green and blue in the mean of colours."""
    mean = np.asarray(colours, np.float64).reshape(-1, colours.shape[-1])[:, :3].mean(0)
    return mean / mean.sum()


def shown(texture: Image) -> NDArray[np.float64]:
    """The pixels of a texture that are seen, (N, 3)."""
    return texture[texture[..., 3] > 128][:, :3].astype(np.float64)


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("name", DEFAULT_AVATARS)
def test_eyes_and_teeth_take_the_light_of_the_picture(
    intake: PortraitIntake, name: str, light: str
) -> None:
    """Nearly what one sees if the finished drawing is put into that light."""
    plain = intake.prepare(default_picture(name))
    changed = replace(plain, image=in_light(plain, LIGHTS[light]))
    for eye in EYES:
        before, after = (
            EyeTextures.build(p.image, p.landmarks, eye).eyeball for p in (plain, changed)
        )
        wanted = shares(before[..., :3] * np.array(LIGHTS[light]))
        assert np.abs(shares(after) - wanted).max() < 0.02
    before, after = (MeshPortrait.build(p).mouth.layers[3] for p in (plain, changed))
    wanted = shares(shown(before) * LIGHTS[light])
    assert np.abs(shares(shown(after)) - wanted).max() < 0.035


def test_a_white_that_is_red_or_brown_is_lid_and_becomes_pale() -> None:
    lids = np.array([[186.0, 106.0, 96.0], [130.0, 63.0, 49.0]])
    assert (np.ptp(as_white(lids), axis=1) <= 0.25 * lids.mean(1)).all()
    assert np.allclose(as_white(lids).mean(1), lids.mean(1))


def test_a_white_in_yellow_or_blue_light_keeps_its_colour() -> None:
    lit = np.array([[225.0, 172.0, 86.0], [118.0, 145.0, 172.0]])
    assert np.allclose(as_white(lit), lit)


def test_a_white_is_no_darker_than_asked() -> None:
    assert as_white(np.full((2, 2, 3), 40.0), 90.0).min() == pytest.approx(90.0)
    assert np.array_equal(as_white(np.zeros((2, 2, 3)), 0.0), np.zeros((2, 2, 3)))


def test_the_brightest_of_the_eyes_is_their_white(prepared: PreparedPortrait) -> None:
    white = eye_white(prepared.image, prepared.landmarks)
    assert white.shape == (3,)
    assert np.ptp(white) < 0.2 * white.mean()
