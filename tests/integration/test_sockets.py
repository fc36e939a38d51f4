"""Real ZeroMQ sockets: keys, refusals, full queues, peers that are gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq

from proto.messages import AVChunk, EngineStatus, Failure, Grant, Message, Ping
from proto.wire.clock import host, now_us, stamped
from proto.wire.curve import CurveClient, CurveServer, new_key_pair
from proto.wire.sockets import (
    HIGH_WATER_MARK,
    ClientSocket,
    PeerBusy,
    PeerGone,
    ServerSocket,
    SocketClosed,
    request,
)
from services.supervisor.readiness import EngineProbe

pytestmark = pytest.mark.integration


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


@asynccontextmanager
async def ready(server: ServerSocket) -> AsyncIterator[None]:
    """An engine that answers one ping."""

    async def answer() -> None:
        peer, ping = await server.recv()
        status = EngineStatus(
            session_id=ping.session_id,
            engine="actor",
            real_time_factor=0.1,
            queue_depth=0,
            sessions=0,
        )
        await server.send(peer, status)

    async with server, asyncio.TaskGroup() as tasks:
        tasks.create_task(answer())
        yield


@asynccontextmanager
async def echo(server: ServerSocket) -> AsyncIterator[ServerSocket]:
    """A server that sends every message back."""

    async def serve() -> None:
        while True:
            peer, message = await server.recv()
            await server.send(peer, message)

    async with server:
        task = asyncio.create_task(serve())
        yield server
        task.cancel()


async def test_frames_arrive_unchanged_and_numbered(endpoint: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (8, 384, 256), dtype=np.uint8)
    chunk = AVChunk(
        session_id="s",
        chunk=0,
        pts_us=0,
        turn=0,
        first_token=0,
        audio_tokens=0,
        motion_level=0.0,
        pcm=np.ones(7680, np.int16),
        frames=frames,
    )
    async with echo(ServerSocket(endpoint)), ClientSocket(endpoint) as client:
        for seq in range(3):
            before = now_us()
            await client.send(stamped(chunk, "left"))
            back = await client.recv()
            assert isinstance(back, AVChunk)
            assert (back.seq, back.stamps[0].host) == (seq, host())
            assert before <= back.stamps[0].at_us <= back.sent_us <= now_us()
            np.testing.assert_array_equal(back.frames, frames)


async def test_only_known_keys_get_in() -> None:
    server_keys, known, stranger = new_key_pair(), new_key_pair(), new_key_pair()
    with zmq.Context() as context, context.socket(zmq.DEALER) as probe:
        port = probe.bind_to_random_port("tcp://127.0.0.1")
    address = f"tcp://127.0.0.1:{port}"
    async with echo(ServerSocket(address, CurveServer(*server_keys, (known[0],)))):
        ping = Ping(session_id="s")
        answer = await request(address, ping, 5, CurveClient(*known, server_keys[0]))
        assert isinstance(answer, Ping)
        with pytest.raises(TimeoutError):
            await request(address, ping, 0.5, CurveClient(*stranger, server_keys[0]))
        with pytest.raises(TimeoutError):
            await request(address, ping, 0.5)


async def test_who_starts_an_engine_asks_it_with_its_own_keys(endpoint: str) -> None:
    public, secret = new_key_pair()
    keys = {
        "XSTREAMER_ACTOR_CURVE_PUBLIC_KEY": public,
        "XSTREAMER_ACTOR_CURVE_SECRET_KEY": secret,
    }
    with_keys = EngineProbe.of("actor", endpoint, keys)
    assert EngineProbe.of("thinker", endpoint, keys).curve is None
    async with ready(ServerSocket(endpoint, CurveServer(public, secret, ()))):
        assert await with_keys.reason_not_ready() is None


@pytest.mark.parametrize("socket", [ServerSocket, ClientSocket])
def test_leaving_the_host_without_keys_is_refused(socket: type) -> None:
    with pytest.raises(ValueError, match="CURVE"):
        socket("tcp://0.0.0.0:5555")


async def test_junk_is_answered_with_a_failure_and_the_server_goes_on(
    endpoint: str,
) -> None:
    async with echo(ServerSocket(endpoint)) as server, ClientSocket(endpoint) as client:
        await client._socket.send_multipart([b"junk"])
        refusal = await client.recv()
        assert isinstance(refusal, Failure)
        assert (refusal.code, server.refused) == ("bad_message", 1)
        await client.send(Ping(session_id="s"))
        assert isinstance(await client.recv(), Ping)


async def test_a_client_skips_junk(endpoint: str) -> None:
    async with ServerSocket(endpoint) as server, ClientSocket(endpoint) as client:
        await client.send(Ping(session_id="s"))
        peer, _ = await server.recv()
        await server._socket.send_multipart([peer, b"junk"])
        status = EngineStatus(
            session_id="s",
            engine="actor",
            real_time_factor=0.1,
            queue_depth=0,
            sessions=0,
        )
        await server.send(peer, status)
        assert isinstance(await client.recv(), EngineStatus)


async def test_a_peer_that_is_gone_is_an_error_and_not_silence(endpoint: str) -> None:
    async with ServerSocket(endpoint) as server:
        with pytest.raises(PeerGone):
            await server.send(b"nobody", Ping(session_id="s"))


async def test_a_full_queue_is_an_error_and_not_memory(endpoint: str) -> None:
    async def flood(client: ClientSocket) -> None:
        for _ in range(HIGH_WATER_MARK + 2):
            await client.send(Grant(session_id="s", credit=1))

    async with ClientSocket(endpoint) as client:
        with pytest.raises(PeerBusy):
            await flood(client)


async def test_a_closed_socket_ends_its_reader(endpoint: str) -> None:
    client = ClientSocket(endpoint)
    reader: asyncio.Task[Message] = asyncio.create_task(client.recv())
    await asyncio.sleep(0.05)
    client.close()
    with pytest.raises(SocketClosed):
        await asyncio.wait_for(reader, 2)
