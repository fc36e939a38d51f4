"""What a call needs of its room, so that the agent can be run without LiveKit."""

import asyncio
from typing import Protocol

import numpy as np

from services.room_agent.attributes import AttributeRoom
from services.room_agent.captions import CaptionRoom
from services.room_agent.playout import AudioSink, VideoSink
from services.room_agent.reporter import PageRoom
from services.room_agent.sight import Camera


class RoomEvents(Protocol):
    """What the room tells the agent."""

    async def listens(self) -> None:
        """Returns when what is heard reaches somebody, or will not soon."""

    def hear(self, pcm: np.ndarray, behind_us: int = 0) -> None:
        """20 ms of the caller, (320,) s16 at 16 kHz, said so long ago."""

    def read(self, text: str, name: str = "") -> None:
        """The caller typed. The same name: the same message, sent again."""

    def page_said(self, topic: str, payload: bytes) -> None:
        """The caller's page told something: see witness.py."""

    def caller_came(self) -> None:
        """A person is in the room."""

    def caller_left(self) -> None:
        """The last person has left the room; they may come back."""

    def reconnected(self) -> None:
        """Our own connection broke and is there again; what was sent meanwhile is lost."""

    def declared(self, statement: str) -> None:
        """The tracks have their names, perhaps new ones; this is the signed word about them."""

    def told(self, metadata: str) -> None:
        """The room's metadata, now and whenever it changes: what the gateway says of the call."""

    def room_closed(self, reason: str) -> None:
        """The room is gone, or we were removed from it."""


class CallRoom(AttributeRoom, CaptionRoom, PageRoom, Camera, Protocol):
    """One room with one caller."""

    @property
    def audio(self) -> AudioSink: ...

    @property
    def video(self) -> VideoSink: ...

    @property
    def identity(self) -> str:
        """The avatar's name in the room, once it has joined."""

    async def join(self, events: RoomEvents, tasks: asyncio.TaskGroup) -> None:
        """Connect and publish both tracks. Events arrive from tasks of the given group."""
