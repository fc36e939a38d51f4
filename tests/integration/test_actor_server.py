"""The real Actor process over ipc: portraits in, chunks of face and speech out."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from proto.message import Message
from proto.messages import (
    AVChunk,
    CheckPortrait,
    CloseSession,
    EngineStatus,
    Failure,
    Grant,
    HiddenChunk,
    Interrupt,
    OpenActorSession,
    Phone,
    Ping,
    PortraitChecked,
    SessionReady,
)
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import TOKEN_SAMPLES
from proto.wire.curve import CurveClient, new_key_pair
from proto.wire.sockets import ClientSocket, request
from tests.leaks import leaks

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]
PORTRAITS = REPOSITORY / "gateway" / "data" / "portraits"
READY_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def door(
    assets_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, CurveClient]]:
    """A running Actor's endpoint, and the keys that it lets in. Whatever the tests send it, it logs
    no secret.
    """
    directory = tmp_path_factory.mktemp("actor")
    address, log = f"ipc://{directory}/a", directory / "actor.log"
    public, secret = new_key_pair()
    ours = CurveClient(*new_key_pair(), public)
    environment = os.environ | {
        "XSTREAMER_ACTOR_ENDPOINT": address,
        "XSTREAMER_ACTOR_ASSETS": str(assets_dir),
        "XSTREAMER_ACTOR_LOG_LEVEL": "DEBUG",
        "XSTREAMER_ACTOR_CURVE_PUBLIC_KEY": public,
        "XSTREAMER_ACTOR_CURVE_SECRET_KEY": secret,
        "XSTREAMER_ACTOR_CURVE_CLIENT_KEYS": json.dumps([ours.public_key]),
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "actor_server"],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        status = asyncio.run(request(address, Ping(session_id="ping"), READY_WITHIN_S, ours))
        assert isinstance(status, EngineStatus)
        yield address, ours
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        sys.stderr.write(log.read_text())
    assert "the Actor is ready" in log.read_text()
    assert leaks([log], {"the Actor's secret key": secret}) == []


@pytest.fixture
async def agent(door: tuple[str, CurveClient]) -> AsyncIterator[ClientSocket]:
    async with ClientSocket(*door) as socket:
        yield socket


def portrait(name: str) -> np.ndarray:
    return np.frombuffer((PORTRAITS / f"{name}.jpg").read_bytes(), np.uint8)


async def receive(socket: ClientSocket, count: int) -> list[Message]:
    async with asyncio.timeout(10):
        return [await socket.recv() for _ in range(count)]


async def call(socket: ClientSocket, session_id: str, name: str, seed: int = 1) -> Message:
    opening = OpenActorSession(session_id=session_id, portrait=portrait(name), seed=seed)
    await socket.send(opening)
    return (await receive(socket, 1))[0]


async def chunks(socket: ClientSocket, session_id: str, count: int) -> list[AVChunk]:
    """Grant and take chunks, two at a time as an agent does."""
    taken: list[AVChunk] = []
    for _ in range(count // 2):
        await socket.send(Grant(session_id=session_id, credit=2))
        for message in await receive(socket, 2):
            assert isinstance(message, AVChunk), message
            taken.append(message)
    return taken


def babble(tokens: int, session_id: str) -> HiddenChunk:
    """A reply of "mamama": a bilabial and an open vowel in turn, 160 ms each."""
    phones = tuple(
        Phone(symbol="AA" if i % 2 else "M", start_us=i * 160_000, end_us=(i + 1) * 160_000)
        for i in range(tokens // 2)
    )
    tone = np.sin(np.arange(tokens * TOKEN_SAMPLES) * 0.05) * 8000
    return HiddenChunk(
        session_id=session_id,
        epoch=1,
        turn=1,
        first_token=0,
        audio_tokens=tokens,
        final=True,
        phones=phones,
        features=np.full((tokens, TOKEN_MEL_FRAMES, MEL_BINS), 0.3, np.float16),
        pcm=tone.astype(np.int16),
    )


def mouth_motion(taken: list[AVChunk]) -> float:
    """Mean absolute change of luma between frames, in the lower middle of the picture."""
    frames = np.concatenate([chunk.frames for chunk in taken])[:, 140:215, 85:171].astype(np.int16)
    return float(np.abs(np.diff(frames, axis=0)).mean())


async def test_a_call_speaks_its_tokens_in_order_and_moves_its_lips(agent: ClientSocket) -> None:
    ready = await call(agent, "talk", "mara")
    assert isinstance(ready, SessionReady)
    quiet = await chunks(agent, "talk", 6)
    assert all(chunk.audio_tokens == 0 and not chunk.pcm.any() for chunk in quiet)
    speech = babble(24, "talk")
    await agent.send(speech)
    spoken = await chunks(agent, "talk", 6)
    assert [chunk.chunk for chunk in quiet + spoken] == list(range(12))
    assert [chunk.pts_us for chunk in spoken] == [n * 320_000 for n in range(6, 12)]
    assert [chunk.first_token for chunk in spoken] == [0, 4, 8, 12, 16, 20]
    assert [chunk.last for chunk in spoken] == [False] * 5 + [True]
    assert speech.pcm is not None
    assert np.array_equal(np.concatenate([chunk.pcm for chunk in spoken]), speech.pcm)
    assert mouth_motion(spoken) > 2 * mouth_motion(quiet[2:])
    await agent.send(CloseSession(session_id="talk"))


async def test_frames_show_the_portrait_that_was_sent(agent: ClientSocket) -> None:
    await call(agent, "face", "kenji")
    first = (await chunks(agent, "face", 2))[0].frames[0]
    shown = cv2.cvtColor(first, cv2.COLOR_YUV2RGB_I420).astype(float)
    await agent.send(CheckPortrait(session_id="check", image=portrait("kenji")))
    checked = (await receive(agent, 1))[0]
    assert isinstance(checked, PortraitChecked)
    assert checked.code == "ok"
    assert checked.crop is not None
    decoded = cv2.imdecode(checked.crop.copy(), cv2.IMREAD_COLOR)
    assert decoded is not None
    crop = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    small = cv2.resize(crop, (256, 256), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(shown - small).mean() < 8.0
    await agent.send(CloseSession(session_id="face"))


async def test_two_calls_at_once_get_their_own_faces(agent: ClientSocket) -> None:
    await call(agent, "left", "imani")
    await call(agent, "right", "tomas")
    for _ in range(3):
        await agent.send(Grant(session_id="left", credit=1))
        await agent.send(Grant(session_id="right", credit=1))
    taken = await receive(agent, 6)
    assert sorted(message.session_id for message in taken) == ["left"] * 3 + ["right"] * 3
    by_session = {
        name: np.concatenate(
            [m.frames for m in taken if isinstance(m, AVChunk) and m.session_id == name]
        ).astype(float)
        for name in ("left", "right")
    }
    assert np.abs(by_session["left"].mean(0) - by_session["right"].mean(0)).mean() > 20
    for name in by_session:
        await agent.send(CloseSession(session_id=name))


async def test_an_interrupt_stops_speech_and_the_counter_goes_back(agent: ClientSocket) -> None:
    await call(agent, "barge", "priya")
    await agent.send(babble(48, "barge"))
    spoken = await chunks(agent, "barge", 6)
    assert all(chunk.audio_tokens == 4 for chunk in spoken)
    stop = Interrupt(session_id="barge", epoch=2, turn=1, heard_tokens=16, last_shown_chunk=3)
    await agent.send(stop)
    await agent.send(babble(48, "barge"))  # of the epoch before: must not be heard
    after = await chunks(agent, "barge", 4)
    assert [chunk.chunk for chunk in after] == [4, 5, 6, 7]
    assert all(chunk.epoch == 2 and chunk.audio_tokens == 0 for chunk in after)
    assert not any(chunk.pcm.any() for chunk in after)
    assert mouth_motion(after[2:]) < 0.5 * mouth_motion(spoken)
    await agent.send(CloseSession(session_id="barge"))


async def test_a_bad_portrait_is_refused_with_a_reason(agent: ClientSocket) -> None:
    opening = OpenActorSession(session_id="bad", portrait=np.frombuffer(b"not a picture", np.uint8))
    await agent.send(opening)
    refusal = (await receive(agent, 1))[0]
    assert isinstance(refusal, Failure)
    assert refusal.code == "not_an_image"
    assert len(refusal.message) > 20


async def test_a_second_call_with_the_same_portrait_opens_at_once(agent: ClientSocket) -> None:
    loop = asyncio.get_running_loop()
    await call(agent, "once", "ingrid")
    started = loop.time()
    ready = await call(agent, "again", "ingrid")
    await agent.send(Grant(session_id="again", credit=1))
    await receive(agent, 1)
    assert isinstance(ready, SessionReady)
    assert loop.time() - started < 1.0
    for name in ("once", "again"):
        await agent.send(CloseSession(session_id=name))
