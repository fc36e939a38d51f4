"""The answer to "may this picture become an avatar?"."""

from dataclasses import dataclass, field
from typing import Literal

import cv2

from actor_server.codec.mesh.prepared import Image, PreparedPortrait

Code = Literal[
    "ok",
    "not_an_image",
    "too_large",
    "no_face",
    "many_faces",
    "too_small",
    "too_turned",
    "blurred",
    "not_a_person",
]


class PortraitRefused(Exception):
    """The picture cannot become an avatar.

    Attributes: `code` for programs, `hint` for people: what was wrong and what to do.
    """

    def __init__(self, code: Code, hint: str, checks: dict[str, float] | None = None) -> None:
        super().__init__(hint)
        self.code: Code = code
        self.hint = hint
        self.checks = checks or {}


@dataclass(frozen=True)
class PortraitVerdict:
    """`ok` with the prepared portrait, or a code and a hint."""

    ok: bool
    code: Code
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
