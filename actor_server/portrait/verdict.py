"""The answer to "may this picture become an avatar?"."""

from dataclasses import dataclass, field

import cv2

from actor_server.codec.mesh.prepared import Image, PreparedPortrait
from proto.portrait_code import PortraitCode


@dataclass(frozen=True)
class PortraitVerdict:
    """`ok` with the prepared portrait, or a code and a hint."""

    ok: bool
    code: PortraitCode
    hint: str = ""
    checks: dict[str, float] = field(default_factory=dict)
    portrait: PreparedPortrait | None = None

    @property
    def crop(self) -> Image | None:
        """The (512, 512, 3) RGB crop, when ok."""
        return self.portrait.image if self.portrait else None

    def crop_png(self) -> bytes | None:
        """Return the crop as a PNG file, when ok."""
        if self.portrait is None:
            return None
        _, encoded = cv2.imencode(".png", cv2.cvtColor(self.portrait.image, cv2.COLOR_RGB2BGR))
        return encoded.tobytes()
