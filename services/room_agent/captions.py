"""Captions of both sides on `lk.transcription`, in the form that LiveKit's clients expect.

The caller's words are replaced as recognition goes on: each state is a stream of its own with the
same segment id. The avatar's words grow: one stream for each reply, written in step with playout.
A caller whose connection broke comes back as somebody new, who has missed the words in between:
the last turn is then shown again, whole, in streams that replace those that were cut.
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
    kind: Literal["user", "reply", "end", "again"]
    turn: int = 0
    text: str = ""
    final: bool = False


@dataclass
class _Reply:
    """The last reply, as far as it was shown."""

    turn: int
    text: str = ""


class Captioner:
    """Writes captions one after the other, off the path of the media. `off`: it writes none."""

    def __init__(self, room: CaptionRoom, *, off: bool = False) -> None:
        self._room = room
        self._off = off
        self._items: asyncio.Queue[_Item] = asyncio.Queue(QUEUE_ITEMS)
        self._open: dict[int, CaptionStream] = {}
        self._user: _Item | None = None
        self._reply = _Reply(0)
        self._lost = False
        """Words of the last turn did not reach the room."""

    def show_user_words(self, turn: int, text: str, final: bool) -> None:
        """What the caller has said in this turn so far."""
        self._put(_Item("user", turn, text, final))

    def show_reply_words(self, turn: int, text: str) -> None:
        """More words of the avatar."""
        self._put(_Item("reply", turn, text))

    def end_reply_words(self, turn: int) -> None:
        """No more words come for this reply."""
        self._put(_Item("end", turn))

    def show_again(self) -> None:
        """The caller is back: what was last said on both sides."""
        self._put(_Item("again"))

    def _put(self, item: _Item) -> None:
        if self._off:
            return
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
                self._open.pop(self._reply.turn, None)
                self._lost = True
                log.warning("caption lost", extra={"turn": item.turn, "reason": str(error)})

    async def _write(self, item: _Item) -> None:
        match item.kind:
            case "user":
                self._user = item
                await self._room.show_user_caption(f"user-{item.turn}", item.text, item.final)
            case "reply":
                await self._grow(item)
            case "end":
                if item.turn == self._reply.turn and item.turn not in self._open and self._lost:
                    await self._begin()  # its last words did not come through
                if (stream := self._open.pop(item.turn, None)) is not None:
                    await stream.finish()
            case "again":
                await self._show_again()

    async def _grow(self, item: _Item) -> None:
        if item.turn != self._reply.turn:
            self._reply = _Reply(item.turn)
        self._reply.text += item.text
        if item.turn in self._open:
            await self._open[item.turn].write(item.text)
        else:
            await self._begin()

    async def _begin(self) -> None:
        """Open a stream for the last reply with all its words so far."""
        stream = await self._room.open_caption(f"reply-{self._reply.turn}")
        self._open[self._reply.turn] = stream
        await stream.write(self._reply.text)
        self._lost = False

    async def _show_again(self) -> None:
        if (user := self._user) is not None:
            await self._room.show_user_caption(f"user-{user.turn}", user.text, user.final)
        if not self._reply.text:
            return
        grows = self._reply.turn in self._open
        await self._begin()
        if not grows:
            await self._open.pop(self._reply.turn).finish()
