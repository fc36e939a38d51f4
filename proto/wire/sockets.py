"""Sockets that speak the protocol: ROUTER on servers, DEALER on clients.

Queues are bounded (HWM) and their policy when full is stated at each call; peers that die are
noticed by ZMTP heartbeats; closing never blocks (LINGER 0). Media is sent without copying.
Only one task may `recv` on a socket, and that task polls: a pending receive is never cancelled.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

from proto.codec import decode, encode
from proto.message import Message, MessageError
from proto.messages import EngineStatus, Failure, Ping
from proto.tensor import Frame
from proto.wire.clock import now_us
from proto.wire.curve import CurveClient, CurveServer, check_endpoint

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

HIGH_WATER_MARK = 512
"""Messages, not bytes: 10 s of 20-ms audio blocks; AVChunks are bounded by credit long before."""
HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 5_000
"""A busy engine still answers: heartbeats run on ZeroMQ's own thread."""
POLL_MS = 500
MAX_SEQUENCES = 4096
"""Sessions, checks and pings whose messages are numbered; the oldest begin again from 0."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class PeerGone(ConnectionError):
    """The peer of a ROUTER does not exist any more."""


class PeerBusy(ConnectionError):
    """The queue to the peer is full; the message was not sent."""


class SocketClosed(ConnectionError):
    """The socket was closed while waiting for a message."""


class _Socket:
    """What both kinds share: options, life, sequence numbers, sending, polling."""

    def __init__(self, kind: int, endpoint: str, context: zmq.asyncio.Context | None) -> None:
        self.endpoint = endpoint
        self._own_context = context is None
        self._context = context or zmq.asyncio.Context()
        self._socket = self._context.socket(kind)
        self._sequence: dict[str, int] = {}
        for option, value in (
            (zmq.SNDHWM, HIGH_WATER_MARK),
            (zmq.RCVHWM, HIGH_WATER_MARK),
            (zmq.LINGER, 0),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
            (zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES),
        ):
            self._socket.setsockopt(option, value)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close at once; queued messages are dropped. May be called twice."""
        self._socket.close(linger=0)
        if self._own_context:
            self._context.term()

    def _address(self, message: M) -> M:
        # Popped and set: the sessions that were written to last are the last of the dict.
        seq = self._sequence.pop(message.session_id, 0)
        self._sequence[message.session_id] = seq + 1
        if len(self._sequence) > MAX_SEQUENCES:
            del self._sequence[next(iter(self._sequence))]
        return message.model_copy(update={"seq": seq, "sent_us": now_us()})

    async def _frames(self) -> list[Frame]:
        try:
            while not self._socket.closed:
                if await self._socket.poll(POLL_MS):
                    frames = await self._socket.recv_multipart(copy=False)
                    return [frame.buffer for frame in frames]
        except zmq.ZMQError:
            if not self._socket.closed:  # another task closed it since the poll
                raise
        except asyncio.CancelledError:
            # pyzmq cancels the pending poll of a socket that is closed; that is no task's end.
            task = asyncio.current_task()
            if not self._socket.closed or (task is not None and task.cancelling()):
                raise
        raise SocketClosed(self.endpoint)

    async def _send(self, frames: list[Frame]) -> None:
        try:
            await self._socket.send_multipart(frames, flags=zmq.DONTWAIT, copy=False)
        except zmq.Again:
            raise PeerBusy(self.endpoint) from None
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                raise PeerGone(self.endpoint) from None
            raise


class ServerSocket(_Socket):
    """A bound ROUTER. Entering it starts the CURVE authenticator when keys are given.

    It lets in the known keys, and its own: whoever started it asks with that whether it is ready.
    """

    def __init__(
        self,
        endpoint: str,
        curve: CurveServer | None = None,
        context: zmq.asyncio.Context | None = None,
    ) -> None:
        check_endpoint(endpoint, curve)
        super().__init__(zmq.ROUTER, endpoint, context)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._curve = curve
        self._authenticator: AsyncioAuthenticator | None = None
        self.refused = 0

    async def __aenter__(self) -> Self:
        if self._curve is not None:
            self._authenticator = AsyncioAuthenticator(self._context)
            self._authenticator.start()
            known = _KnownKeys((*self._curve.client_keys, self._curve.public_key))
            self._authenticator.configure_curve_callback(domain="*", credentials_provider=known)
            self._socket.curve_publickey = self._curve.public_key.encode()
            self._socket.curve_secretkey = self._curve.secret_key.encode()
            self._socket.curve_server = True
        self._socket.bind(self.endpoint)
        return self

    def close(self) -> None:
        """Close at once and stop the authenticator."""
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        super().close()

    async def recv(self) -> tuple[bytes, Message]:
        """The next good message and its peer. Bad input is counted and answered, never raised."""
        while True:
            peer, *frames = await self._frames()
            try:
                return bytes(peer), decode(frames)
            except MessageError as error:
                self.refused += 1
                log.warning("refused a message", extra={"reason": str(error)})
                await self._answer_refusal(bytes(peer), str(error))

    async def send(self, peer: bytes, message: Message) -> None:
        """Send without waiting. Raises PeerGone, or PeerBusy when the peer's queue is full."""
        await self._send([peer, *encode(self._address(message))])

    async def _answer_refusal(self, peer: bytes, reason: str) -> None:
        failure = Failure(session_id="none", code="bad_message", message=reason, retryable=False)
        try:
            await self.send(peer, failure)
        except (PeerGone, PeerBusy):
            log.info("nobody to tell of a refused message")


class ClientSocket(_Socket):
    """A connected DEALER; it reconnects by itself."""

    def __init__(
        self,
        endpoint: str,
        curve: CurveClient | None = None,
        context: zmq.asyncio.Context | None = None,
    ) -> None:
        check_endpoint(endpoint, curve)
        super().__init__(zmq.DEALER, endpoint, context)
        self._events: zmq.asyncio.Socket | None = None
        if curve is not None:
            self._socket.curve_publickey = curve.public_key.encode()
            self._socket.curve_secretkey = curve.secret_key.encode()
            self._socket.curve_serverkey = curve.server_key.encode()
        self._socket.connect(endpoint)

    async def recv(self) -> Message:
        """The next good message; bad ones are logged and skipped. Raises SocketClosed."""
        while True:
            try:
                return decode(await self._frames())
            except MessageError as error:
                log.warning("refused a message", extra={"reason": str(error)})

    async def breaks(self) -> AsyncIterator[None]:
        """Yields whenever the connection breaks: at once when the server's process has died."""
        self._events = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        while not self._events.closed:
            if await self._events.poll(POLL_MS):
                await self._events.recv_multipart()
                yield

    def close(self) -> None:
        """Close at once; also what listens for breaks."""
        if self._events is not None and not self._events.closed:
            self._socket.disable_monitor()
            self._events.close(linger=0)
        super().close()

    async def send(self, message: Message) -> None:
        """Queue without waiting. Raises PeerBusy when the queue is full."""
        await self._send(encode(self._address(message)))


class _KnownKeys:
    """ZAP credentials provider: lets in exactly the listed Z85 keys."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = frozenset(keys)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a client with this Z85 key may connect."""
        return key.decode() in self._keys


async def request(
    endpoint: str, message: Message, timeout_s: float, curve: CurveClient | None = None
) -> Message:
    """One question, one answer, on a socket of its own. Raises TimeoutError."""
    async with ClientSocket(endpoint, curve) as socket:
        await socket.send(message)
        async with asyncio.timeout(timeout_s):
            return await socket.recv()


async def status_of(
    endpoint: str, timeout_s: float, curve: CurveClient | None = None
) -> EngineStatus | None:
    """How busy an engine is; None where there is none, or it does not say in time."""
    if not endpoint:
        return None
    try:
        answer = await request(endpoint, Ping(session_id="status"), timeout_s, curve)
    except (TimeoutError, PeerBusy):
        return None
    return answer if isinstance(answer, EngineStatus) else None
