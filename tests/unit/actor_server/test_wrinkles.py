"""Folds of skin: where the face creases, when, and that they go again."""

from dataclasses import replace

import numpy as np
import pytest

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.latent import (
    BROWS,
    FURROW,
    MOUTH,
    Latent,
    portrait_latent,
    speech_neutral_latent,
)
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.codec.mesh.wrinkles import Creaser, Fold, Wrinkles

pytestmark = pytest.mark.unit


def raised(brows: float) -> Latent:
    latent = portrait_latent()
    latent[BROWS] = brows
    return latent


def furrowed() -> Latent:
    latent = portrait_latent()
    latent[FURROW] = 1.2
    return latent


def smiling() -> Latent:
    latent = speech_neutral_latent()
    latent[MOUTH] = mouth_basis().solve(width=0.22, corners=0.1)
    return latent


def creases(portrait: MeshPortrait, latent: Latent) -> np.ndarray:
    """By how much each pixel of a frame (256, 256) is darker than without folds."""
    folds = portrait.wrinkles.folds
    smooth = replace(
        portrait,
        wrinkles=replace(
            portrait.wrinkles,
            folds=tuple(
                replace(fold, darker=0 * fold.darker, lighter=0 * fold.lighter) for fold in folds
            ),
        ),
    )
    with_folds, without = (
        MeshDecoder(one).render_rgb(latent).astype(int).sum(2) / 3 for one in (portrait, smooth)
    )
    return without - with_folds


def rows_of(portrait: MeshPortrait, latent: Latent, landmarks: list[int]) -> float:
    return float(portrait.vertices(latent)[landmarks, 1].mean() / 2)


def test_a_face_at_rest_and_one_that_speaks_are_not_creased(portrait: MeshPortrait) -> None:
    speaking = speech_neutral_latent()
    speaking[MOUTH] = mouth_basis().solve(gap=0.25, chin=0.15)
    speaking[BROWS] = 0.3
    for latent in (portrait_latent(), speech_neutral_latent(), speaking):
        assert portrait.wrinkles.depths(latent) == (0.0, 0.0, 0.0)
        assert not creases(portrait, latent).any()


def test_raised_brows_crease_the_forehead_and_nothing_else(portrait: MeshPortrait) -> None:
    latent = raised(1.5)
    dark = creases(portrait, latent)
    brows = rows_of(portrait, latent, list(topology.LEFT_BROW + topology.RIGHT_BROW))
    assert dark.max() > 8
    assert not dark[int(brows) :].any()
    assert np.count_nonzero(dark > 3) > 60


def test_a_furrow_creases_between_the_brows(portrait: MeshPortrait) -> None:
    dark = creases(portrait, furrowed())
    row, column = np.unravel_index(np.argmax(dark), dark.shape)
    right, left = portrait.vertices(furrowed())[list(topology.INNER_BROWS), 0] / 2
    assert dark.max() > 5
    assert right - 2 < column < left + 2
    assert row < rows_of(portrait, furrowed(), [topology.NOSE_TIP])


def test_a_smile_creases_both_cheeks_beside_the_mouth(portrait: MeshPortrait) -> None:
    dark = creases(portrait, smiling())
    face = portrait.vertices(smiling())[:, :2] / 2
    middle = int(face[topology.NOSE_BASE, 0])
    assert dark[:, :middle].max() > 4
    assert dark[:, middle:].max() > 4
    seen = np.flatnonzero((dark > 3).any(1))
    assert face[topology.NOSE_TIP, 1] - 8 < seen[0]
    assert seen[-1] < face[topology.CHIN, 1]


def test_folds_deepen_and_go_without_a_trace(portrait: MeshPortrait) -> None:
    depths = [portrait.wrinkles.depths(raised(brows))[0] for brows in (0.3, 0.6, 0.9, 1.4, 2.0)]
    assert depths == sorted(depths)
    assert (depths[0], depths[-1]) == (0.0, 1.0)
    creaser = Creaser(portrait.wrinkles, portrait.texture)
    for latent in (raised(0.7), raised(1.5), smiling(), furrowed()):
        assert (creaser.crease(latent) != portrait.texture).any()
    assert (creaser.crease(raised(0.0)) == portrait.texture).all()


def test_folds_that_share_a_place_are_both_seen(portrait: MeshPortrait) -> None:
    """The parts of the first two overlap; the first one's line lies in the second one's part."""
    texture = np.full((20, 20, 4), 200, np.uint8)
    first, second = (np.zeros((12, 20, 4), np.uint8) for _ in range(2))
    first[6, :, :3] = second[8, :, :3] = 50
    none = np.zeros_like(first)
    folds = (
        Fold(slice(0, 12), slice(0, 20), first, none),
        Fold(slice(4, 16), slice(0, 20), second, none),
        Fold(slice(0, 12), slice(0, 20), none, none),
    )
    creaser = Creaser(replace(portrait.wrinkles, folds=folds), texture)
    both = raised(1.5)
    both[FURROW] = 1.2
    creaser.crease(raised(1.5))
    creased = creaser.crease(both)
    assert np.flatnonzero(creased[:, 0, 0] == 150).tolist() == [6, 12]
    assert np.flatnonzero(creaser.crease(furrowed())[:, 0, 0] == 150).tolist() == [12]


@pytest.mark.parametrize("colour", [(20, 20, 24), (90, 120, 160), (240, 240, 240)])
def test_a_cap_is_not_creased(prepared: PreparedPortrait, colour: tuple[int, int, int]) -> None:
    image = prepared.image.copy()
    brows = prepared.landmarks[list(topology.LEFT_BROW + topology.RIGHT_BROW), 1]
    image[: int(brows.min()) - 8] = colour
    capped = MeshPortrait.build(replace(prepared, image=image))
    assert not creases(capped, raised(1.5)).any()
    assert creases(capped, smiling()).max() > 4


def test_a_grey_portrait_stays_grey(prepared: PreparedPortrait) -> None:
    grey = np.repeat(prepared.image.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    texture = MeshPortrait.build(replace(prepared, image=grey)).texture
    for fold in Wrinkles.build(replace(prepared, image=grey), texture).folds:
        for change in (fold.darker, fold.lighter):
            assert (np.ptp(change[..., :3].astype(int), axis=2) <= 1).all()
            assert not change[..., 3].any()
