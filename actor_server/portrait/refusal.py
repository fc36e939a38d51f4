"""Why a picture cannot become an avatar. Light: the process that decodes pictures imports it."""

from proto.portrait_code import PortraitCode


class PortraitRefused(Exception):
    """The picture cannot become an avatar.

    Attributes: `code` for programs, `hint` for people: what was wrong and what to do.
    """

    def __init__(
        self, code: PortraitCode, hint: str, checks: dict[str, float] | None = None
    ) -> None:
        super().__init__(hint)
        self.code: PortraitCode = code
        self.hint = hint
        self.checks = checks or {}
