"""The kinds of portraits that people bring, most of them made from the default avatars.

Seven avatars ship with the product; a photograph in the public domain comes with matplotlib, which
the landmarker needs anyway. All other kinds are SYNTHETIC: drawn over an avatar's crop, filtered,
or drawn by the mesh decoder itself. They show what a picture of that kind does to the codec, not
how such people look: a child is an avatar bent to a child's proportions, a hand is drawn.

Shapes: pictures are (height, width, 3) RGB, crops (512, 512, 3).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.latent import MOUTH, YAW, Latent, speech_neutral_latent
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import CROP_SIZE, Image, PreparedPortrait
from actor_server.evaluation import overdrawing
from actor_server.evaluation.child_portrait import child
from actor_server.evaluation.rendered import PORTRAITS
from actor_server.portrait.intake import PortraitIntake

AVATARS: Final = {
    "mara": "a default avatar: fair skin, long hair",
    "daniel": "a default avatar: dark skin, beard",
    "priya": "a default avatar: brown skin, long hair",
    "kenji": "a default avatar: short hair",
    "imani": "a default avatar: dark skin, afro",
    "tomas": "a default avatar: older, grey hair",
    "ingrid": "a default avatar: older, hair to the chin",
}
PHOTOGRAPH: Final = Path("mpl-data") / "sample_data" / "grace_hopper.jpg"
"""Commodore Grace M. Hopper by J. S. Davis, US Navy: public domain. In matplotlib's wheel."""
FURTHER_RAD: Final = -0.3
"""The way in which kenji is turned already, so that nothing unseen comes into sight."""


@dataclass(frozen=True)
class Kind:
    """One portrait, and how it came about."""

    name: str
    made: str
    picture: bytes  # an image file, as a person would upload it


@dataclass
class Sources:
    """The default avatars' files and their crops, each prepared once."""

    intake: PortraitIntake
    folder: Path = PORTRAITS
    _prepared: dict[str, PreparedPortrait] = field(default_factory=dict)

    def file(self, name: str) -> bytes:
        return (self.folder / f"{name}.jpg").read_bytes()

    def prepared(self, name: str) -> PreparedPortrait:
        if name not in self._prepared:
            self._prepared[name] = self.intake.prepare(self.file(name))
        return self._prepared[name]

    def drawn(self, name: str, *latents: Latent) -> Image:
        """An avatar as the decoder draws it, that picture drawn again for each further latent."""
        portrait = self.prepared(name)
        for latent in latents:
            frame = MeshDecoder(MeshPortrait.build(portrait)).render_rgb(latent)
            crop = cv2.resize(frame, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
            portrait = self.intake.prepare(_png(np.asarray(crop, np.uint8)))
        return portrait.image


Recipe = tuple[str, str, Callable[[Sources], Image]]


def kinds(sources: Sources, only: Collection[str] | None = None) -> Iterator[Kind]:
    """Yield all kinds, or the named; the photograph only where matplotlib is installed."""

    def wanted(name: str) -> bool:
        return only is None or name in only

    for name, made in AVATARS.items():
        if wanted(name):
            yield Kind(name, made, sources.file(name))
    photograph = _photograph()
    if photograph and wanted("photograph"):
        made = "public domain: old, glasses, hat, chest level"
        yield Kind("photograph", made, photograph.read_bytes())
    for name, made, recipe in _recipes():
        if wanted(name):
            yield Kind(name, f"synthetic: {made}", _png(recipe(sources)))


def names() -> list[str]:
    """Of all kinds."""
    return [*AVATARS, "photograph", *(name for name, _, _ in _recipes())]


def _photograph() -> Path | None:
    found = find_spec("matplotlib")
    file = Path(found.origin).parent / PHOTOGRAPH if found and found.origin else None
    return file if file and file.is_file() else None


def _recipes() -> Iterator[Recipe]:
    over = overdrawing
    yield "glasses", "drawn over tomas", _over("tomas", over.glasses)
    yield "sunglasses", "drawn over priya", _over("priya", partial(over.glasses, opacity=0.92))
    yield "microphone", "drawn over ingrid's lips", _over("ingrid", over.microphone)
    yield "hand", "drawn on priya's chin and one corner of her lips", _over("priya", over.hand)
    yield "headscarf", "drawn over ingrid", _over("ingrid", over.headscarf)
    yield "child", "priya with a child's proportions", _over("priya", child)
    yield (
        "smiling",
        "mara by the decoder",
        _posed("mara", _mouth(gap=0.12, width=0.22, corners=0.1)),
    )
    yield "open-mouth", "kenji by the decoder", _posed("kenji", _mouth(gap=0.35, chin=0.2))
    yield "three-quarter", "kenji turned further by the decoder", _posed("kenji", _turn())
    yield "far-turned", "the same turned once more", _posed("kenji", _turn(), _turn())
    yield "chest-level", "tomas small in a wide picture", _over("tomas", over.far_away)
    yield "busy", "priya before drawn shelves", _over("priya", over.before_shelves)
    yield "painting", "mara as oil painting, OpenCV", _over("mara", over.oil_painting)
    yield "cartoon", "ingrid in flat colours and outlines", _over("ingrid", over.cartoon)
    yield "grey", "daniel without colour, with grain", _over("daniel", over.old_photograph)
    yield "pencil", "kenji as pencil drawing, OpenCV", _over("kenji", over.pencil)
    yield "dim", "imani in a third of the light, with noise", _over("imani", over.dim)
    lamp, screen = (partial(over.in_light, colour=colour) for colour in (over.LAMP, over.SCREEN))
    yield "lamplight", "ingrid in the yellow light of a lamp", _over("ingrid", lamp)
    yield "screen-light", "kenji in the blue light of a screen", _over("kenji", screen)


def _over(name: str, draw: Callable[[PreparedPortrait], Image]) -> Callable[[Sources], Image]:
    return lambda sources: draw(sources.prepared(name))


def _posed(name: str, *latents: Latent) -> Callable[[Sources], Image]:
    return lambda sources: sources.drawn(name, *latents)


def _mouth(**wanted: float) -> Latent:
    latent = speech_neutral_latent()
    latent[MOUTH] = mouth_basis().solve(**wanted)
    return latent


def _turn() -> Latent:
    latent = speech_neutral_latent()
    latent[YAW] = FURTHER_RAD
    return latent


def _png(picture: Image) -> bytes:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
