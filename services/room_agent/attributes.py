"""The avatar's participant attributes: the newest values win, written one after the other."""

import asyncio
from collections.abc import Awaitable, Callable

LABELS = {"brain": "xs.brain", "voice": "xs.voice", "eyes": "xs.eyes"}
"""Engine labels that people see, as attributes of the avatar."""
SYNTHETIC = {"xs.synthetic": "true"}
"""From the avatar's first moment in the room: face, voice and words are generated."""
PROVENANCE = "xs.provenance"
"""The same, signed and bound to room, identity and tracks: see services/provenance.py."""
NOTICE = "xs.error"
"""Text for a person, shown as a banner; empty: all is well."""


class AttributeWriter:
    """Collects changes and writes them from a task of its own."""

    def __init__(self, write: Callable[[dict[str, str]], Awaitable[None]]) -> None:
        self._write = write
        self._changes: dict[str, str] = {}
        self._changed = asyncio.Event()

    def set(self, key: str, value: str) -> None:
        """Show this value soon; an older one that waits is skipped."""
        self._changes[key] = value
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            changes, self._changes = self._changes, {}
            await self._write(changes)
