"""The way to the Actors: one socket for each endpoint, shared by the sessions that use it."""

import asyncio
import logging
from dataclasses import dataclass

from proto.message import Message
from proto.messages import Failure
from proto.wire.curve import CurveClient
from proto.wire.sockets import ClientSocket, SocketClosed

log = logging.getLogger(__name__)


@dataclass
class _Link:
    socket: ClientSocket
    sessions: set[str]


class ActorLinks:
    """Opens a socket with its first session and closes it with its last."""

    def __init__(self, tasks: asyncio.TaskGroup, curve: CurveClient | None = None) -> None:
        self._tasks = tasks
        self._curve = curve
        self._links: dict[str, _Link] = {}

    def attach(self, session_id: str, endpoint: str) -> None:
        """A session begins to use an Actor. Raises ValueError for an endpoint that needs keys."""
        if endpoint not in self._links:
            socket = ClientSocket(endpoint, self._curve)
            self._links[endpoint] = _Link(socket, set())
            self._tasks.create_task(_drain(socket))
        self._links[endpoint].sessions.add(session_id)

    def detach(self, session_id: str, endpoint: str) -> None:
        """A session is over."""
        link = self._links.get(endpoint)
        if link is None:
            return
        link.sessions.discard(session_id)
        if not link.sessions:
            del self._links[endpoint]
            link.socket.close()

    async def send(self, endpoint: str, message: Message) -> None:
        """Queue a message for the Actor. Raises PeerBusy when it takes none any more."""
        await self._links[endpoint].socket.send(message)

    def close(self) -> None:
        """Close all sockets."""
        for link in self._links.values():
            link.socket.close()
        self._links.clear()


async def _drain(socket: ClientSocket) -> None:
    """An Actor answers nothing but failures, which only the log wants."""
    try:
        while True:
            message = await socket.recv()
            if isinstance(message, Failure):
                log.warning(
                    "the Actor refused a message",
                    extra={"session": message.session_id, "code": message.code},
                )
    except SocketClosed:
        return
