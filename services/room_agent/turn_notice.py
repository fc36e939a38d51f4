"""What went wrong with a turn, as the caller reads it until the next one."""

from collections.abc import Callable


class TurnNotice:
    """At most one text at a time; `show` shows it, an empty one hides it."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self.told = False

    def tell(self, text: str) -> None:
        """Say what went wrong."""
        self.told = True
        self._show(text)

    def clear(self) -> None:
        """Another turn begins."""
        if self.told:
            self.told = False
            self._show("")
