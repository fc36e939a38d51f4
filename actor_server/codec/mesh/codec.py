"""The mesh codec as the Actor uses it: judge a picture, make it a face that can be rendered."""

from typing import Final, Protocol

from actor_server.codec.mesh.decoder import MeshDecoder, warm_up
from actor_server.codec.mesh.encoder import MeshEncoder
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.codec.mesh.prepared import PreparedPortrait
from actor_server.portrait.verdict import PortraitVerdict


class Intake(Protocol):
    """What the codec needs of portrait intake."""

    def check(self, image_bytes: bytes) -> PortraitVerdict: ...

    def prepare(self, image_bytes: bytes) -> PreparedPortrait: ...


class MeshCodec:
    """Portraits in, decoders and encoders out. As thread-safe as its intake: not at all."""

    label: Final = "mesh"

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._warm = False

    def check(self, image: bytes) -> PortraitVerdict:
        """Judge a picture file; never raises for what is in it."""
        return self._intake.check(image)

    def portrait(self, image: bytes) -> MeshPortrait:
        """Return the animated portrait of a picture file. Raises PortraitRefused."""
        return MeshPortrait.build(self._intake.prepare(image))

    def build(self, image: bytes) -> MeshDecoder:
        """Return a decoder of a picture file, compiled and ready. Raises PortraitRefused."""
        portrait = self.portrait(image)
        if not self._warm:
            warm_up(portrait)
            self._warm = True
        return MeshDecoder(portrait)

    @staticmethod
    def encoder(portrait: MeshPortrait) -> MeshEncoder:
        """Return the encoder that inverts a portrait's decoder."""
        return MeshEncoder(portrait.geometry, portrait.expression)
