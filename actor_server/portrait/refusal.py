"""Why a picture cannot become an avatar. Light: the process that decodes pictures imports it."""

from typing import Literal

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
