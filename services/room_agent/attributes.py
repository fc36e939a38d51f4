"""The avatar's participant attributes: the newest values win, and are shown in the end."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

log = logging.getLogger(__name__)

LABELS = {"brain": "xs.brain", "voice": "xs.voice", "eyes": "xs.eyes"}
"""Engine labels that people see, as attributes of the avatar."""
SYNTHETIC = {"xs.synthetic": "true"}
"""From the avatar's first moment in the room: face, voice and words are generated."""
PROVENANCE = "xs.provenance"
"""The same, signed and bound to room, identity and tracks: see services/provenance.py."""
NOTICE = "xs.error"
"""Text for a person, shown as a banner; empty: all is well."""


WRITE_S = 0.5
CHECK_S = 0.5


class AttributeRoom(Protocol):
    """Where attributes are shown."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """What LiveKit shows of the avatar; it drops empty ones."""

    async def set_attributes(self, attributes: dict[str, str]) -> None: ...


class AttributeWriter:
    """Writes changes at once, from a task of its own, and again until LiveKit shows them.

    A write is lost without a word when the connection is away, and takes LiveKit's client 5 s then.
    """

    def __init__(self, room: AttributeRoom) -> None:
        self._room = room
        self._wanted: dict[str, str] = {}
        self._changes: dict[str, str] = {}
        self._changed = asyncio.Event()

    def set(self, key: str, value: str) -> None:
        """Show this value soon; an older one that waits is skipped."""
        self._changes[key] = value
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self._changed.clear()
            if lost := self._unshown():
                log.warning("attributes written again", extra={"names": sorted(lost)})
            changes, self._changes = self._changes, {}
            self._wanted |= changes
            if due := lost | changes:
                with suppress(TimeoutError):
                    async with asyncio.timeout(WRITE_S):
                        await self._room.set_attributes(due)
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._changed.wait()

    def _unshown(self) -> dict[str, str]:
        shown = self._room.attributes
        return {key: value for key, value in self._wanted.items() if shown.get(key, "") != value}
