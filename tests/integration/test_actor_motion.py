"""The real Actor process with each motion source, and with weights that it cannot use."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from actor_server.codec.mesh.latent import MOUTH, portrait_latent
from actor_server.motion.choice import choose_motion
from actor_server.saving import Saving
from actor_server.weights import SamplerDefaults, save_actor
from proto.messages import (
    AVChunk,
    CloseSession,
    EngineStatus,
    Grant,
    Interrupt,
    OpenActorSession,
    Ping,
    SessionReady,
)
from proto.wire.sockets import ClientSocket, request
from tests.unit.actor_server.conditions import mixed_conditions, play, reply
from tests.unit.actor_server.small_actor import small_model

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]
PORTRAIT = REPOSITORY / "gateway" / "data" / "portraits" / "mara.jpg"
READY_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small transformer that knows nothing: its faces twitch, but on time."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_actor(path, small_model(), SamplerDefaults(steps=4, window=2), "random")
    return path


def actor(assets: Path, endpoint: str, **options: str) -> subprocess.Popen[str]:
    named = {f"XSTREAMER_ACTOR_{name.upper()}": value for name, value in options.items()}
    environment = (
        os.environ
        | named
        | {
            "XSTREAMER_ACTOR_ENDPOINT": endpoint,
            "XSTREAMER_ACTOR_ASSETS": str(assets),
        }
    )
    command = [sys.executable, "-m", "actor_server"]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
    )


@asynccontextmanager
async def running(assets: Path, folder: Path, **options: str) -> AsyncIterator[ClientSocket]:
    """A call's socket to an Actor of its own."""
    endpoint = f"ipc://{folder}/a"
    process = await asyncio.to_thread(actor, assets, endpoint, **options)
    try:
        await request(endpoint, Ping(session_id="ping"), READY_WITHIN_S)
        async with ClientSocket(endpoint) as socket:
            yield socket
    finally:
        process.terminate()
        await asyncio.to_thread(process.communicate)


async def motion_label(socket: ClientSocket) -> str:
    await socket.send(Ping(session_id="ping"))
    status = await socket.recv()
    assert isinstance(status, EngineStatus)
    return status.labels["motion"]


async def take(socket: ClientSocket, session_id: str, count: int) -> list[AVChunk]:
    """Chunks granted two by two, as an agent does."""
    taken: list[AVChunk] = []
    async with asyncio.timeout(30):
        for _ in range(count // 2):
            await socket.send(Grant(session_id=session_id, credit=2))
            for _ in range(2):
                chunk = await socket.recv()
                assert isinstance(chunk, AVChunk), chunk
                taken.append(chunk)
    return taken


async def test_a_call_moved_by_diffusion_speaks_gives_way_and_goes_on(
    assets_dir: Path, tmp_path: Path, weights: Path
) -> None:
    async with running(assets_dir, tmp_path, weights=str(weights), motion="auto") as socket:
        assert await motion_label(socket) == "diffusion"
        portrait = np.frombuffer(PORTRAIT.read_bytes(), np.uint8)
        await socket.send(OpenActorSession(session_id="d", portrait=portrait, seed=1))
        assert isinstance(await socket.recv(), SessionReady)
        quiet = await take(socket, "d", 4)
        await socket.send(reply("AA M " * 24, session_id="d"))
        spoken = await take(socket, "d", 8)
        assert [chunk.chunk for chunk in quiet + spoken] == list(range(12))
        assert [chunk.first_token for chunk in spoken] == list(range(0, 32, 4))
        stop = Interrupt(session_id="d", epoch=2, turn=1, heard_tokens=8, last_shown_chunk=6)
        await socket.send(stop)
        after = await take(socket, "d", 4)
        assert [(chunk.chunk, chunk.audio_tokens) for chunk in after] == [
            (7, 0),
            (8, 0),
            (9, 0),
            (10, 0),
        ]
        frames = np.concatenate([chunk.frames for chunk in quiet + spoken]).astype(np.int16)
        assert np.abs(np.diff(frames, axis=0)).mean() > 0.1
        await socket.send(CloseSession(session_id="d"))


async def test_every_session_that_ends_makes_room_for_another(
    assets_dir: Path, tmp_path: Path, weights: Path
) -> None:
    options = {"weights": str(weights), "motion": "auto", "max_sessions": "1"}
    async with running(assets_dir, tmp_path, **options) as socket:
        portrait = np.frombuffer(PORTRAIT.read_bytes(), np.uint8)
        for number in range(3):
            await socket.send(OpenActorSession(session_id=f"n{number}", portrait=portrait))
            assert isinstance(await socket.recv(), SessionReady)
            assert len(await take(socket, f"n{number}", 2)) == 2
            await socket.send(CloseSession(session_id=f"n{number}"))


async def test_the_teacher_moves_the_face_when_asked_for(
    assets_dir: Path, tmp_path: Path, weights: Path
) -> None:
    async with running(assets_dir, tmp_path, weights=str(weights), motion="teacher") as socket:
        assert await motion_label(socket) == "procedural"


def test_an_actor_that_cannot_read_its_weights_says_so_and_ends(
    assets_dir: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing")
    process = actor(assets_dir, f"ipc://{tmp_path}/a", weights=str(bad), motion="diffusion")
    _, said = process.communicate(timeout=READY_WITHIN_S)
    assert process.returncode == 3
    assert f"{bad} is damaged or cut short" in said
    assert 'motion = "teacher"' in said


def test_the_shipped_weights_in_half_of_their_passes_say_the_same() -> None:
    source = choose_motion("diffusion", None, 2)
    talk = mixed_conditions(3, 60, source.sight)
    lips = []
    for saving in (Saving.NOTHING, Saving.FEWER_PASSES):
        stream = source.open(portrait_latent(), 5)
        stream.ease(saving)
        lips.append(play(stream, talk)[:, MOUTH])
        stream.close()
    full, halved = lips
    agreement = [np.corrcoef(full[:, n], halved[:, n])[0, 1] for n in range(3)]
    assert min(agreement) > 0.9
    assert halved.std() > 0.9 * full.std()
