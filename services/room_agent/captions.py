"""Captions of both sides on `lk.transcription`, in the form that LiveKit's clients expect.

The caller's words are replaced as recognition goes on: each state is a stream of its own with the
same segment id. The avatar's words grow: one stream for each reply, written in step with playout.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal, Protocol

log = logging.getLogger(__name__)

QUEUE_ITEMS = 256
"""Minutes of words. When the room takes none any more, captions are dropped, not the call."""


class CaptionStream(Protocol):
    """An open stream of one segment. Its methods raise ConnectionError when the room is gone."""

    async def write(self, text: str) -> None: ...

    async def finish(self) -> None: ...


class CaptionRoom(Protocol):
    """Where captions go. Its methods raise ConnectionError when the room is gone."""

    async def open_caption(self, segment_id: str) -> CaptionStream: ...

    async def show_user_caption(self, segment_id: str, text: str, final: bool) -> None: ...


@dataclass(frozen=True)
class _Item:
    kind: Literal["user", "reply", "end"]
    turn: int
    text: str = ""
    final: bool = False


class Captioner:
    """Writes captions one after the other, off the path of the media."""

    def __init__(self, room: CaptionRoom) -> None:
        self._room = room
        self._items: asyncio.Queue[_Item] = asyncio.Queue(QUEUE_ITEMS)
        self._open: dict[int, CaptionStream] = {}

    def show_user_words(self, turn: int, text: str, final: bool) -> None:
        """What the caller has said in this turn so far."""
        self._put(_Item("user", turn, text, final))

    def show_reply_words(self, turn: int, text: str) -> None:
        """More words of the avatar."""
        self._put(_Item("reply", turn, text))

    def end_reply_words(self, turn: int) -> None:
        """No more words come for this reply."""
        self._put(_Item("end", turn))

    def _put(self, item: _Item) -> None:
        try:
            self._items.put_nowait(item)
        except asyncio.QueueFull:
            log.warning("caption dropped", extra={"turn": item.turn, "kind": item.kind})

    async def run(self) -> None:
        """Write until cancelled. A caption that the room does not take is lost, not the call."""
        while True:
            item = await self._items.get()
            try:
                await self._write(item)
            except ConnectionError as error:
                self._open.pop(item.turn, None)
                log.warning("caption lost", extra={"turn": item.turn, "reason": str(error)})

    async def _write(self, item: _Item) -> None:
        match item.kind:
            case "user":
                await self._room.show_user_caption(f"user-{item.turn}", item.text, item.final)
            case "reply":
                if item.turn not in self._open:
                    self._open[item.turn] = await self._room.open_caption(f"reply-{item.turn}")
                await self._open[item.turn].write(item.text)
            case "end":
                if (stream := self._open.pop(item.turn, None)) is not None:
                    await stream.finish()
