"""The real Actor process that decodes speech itself, with a tiny random decoder."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from actor_server.speech.tiny import write_tiny
from proto.messages import (
    AVChunk,
    EngineStatus,
    Failure,
    HiddenChunk,
    Interrupt,
    OpenActorSession,
    Ping,
    SessionReady,
)
from proto.time_law import CHUNK_AUDIO_TOKENS, TOKEN_SAMPLES
from proto.wire.sockets import ClientSocket
from tests.integration.test_actor_motion import PORTRAIT, READY_WITHIN_S, actor, running, take
from tests.unit.actor_server.conditions import reply
from tests.unit.actor_server.speech.spelling import coded_parts

pytestmark = pytest.mark.integration

REPLY_TOKENS = 42
WITHIN_S = 30.0


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    write_tiny(folder)
    return folder


def answer(session_id: str, *, epoch: int = 1, turn: int = 1, seed: int = 5) -> list[HiddenChunk]:
    """A reply as GLM-4-Voice's Thinker sends it: audio ids, in parts."""
    codes = np.random.default_rng(seed).integers(0, 16_384, REPLY_TOKENS).tolist()
    return coded_parts(codes, [4, 8, 14], epoch=epoch, turn=turn, session_id=session_id)


async def open_call(socket: ClientSocket, session_id: str) -> None:
    portrait = np.frombuffer(PORTRAIT.read_bytes(), np.uint8)
    await socket.send(OpenActorSession(session_id=session_id, portrait=portrait, seed=1))
    assert isinstance(await socket.recv(), SessionReady)


async def speak(socket: ClientSocket, session_id: str) -> list[AVChunk]:
    """Everything until the reply's last chunk, without the silent chunks around it."""
    spoken: list[AVChunk] = []
    async with asyncio.timeout(WITHIN_S):
        while not (spoken and spoken[-1].last):
            spoken += [c for c in await take(socket, session_id, 2) if c.audio_tokens or c.last]
    return spoken


async def test_audio_ids_become_a_voice_and_a_face_that_follows_it(
    assets_dir: Path, tmp_path: Path, decoder: Path
) -> None:
    options = {"speech": "glm4voice", "speech_weights": str(decoder), "speech_device": "cpu"}
    async with running(assets_dir, tmp_path, **options) as socket:
        await socket.send(Ping(session_id="ping"))
        status = await socket.recv()
        assert isinstance(status, EngineStatus)
        assert status.labels["speech"] == "glm-4-voice"
        voices = []
        for session_id in ("first", "second"):
            await open_call(socket, session_id)
            for part in answer(session_id):
                await socket.send(part)
            spoken = await speak(socket, session_id)
            assert sum(chunk.audio_tokens for chunk in spoken) == REPLY_TOKENS
            firsts = [chunk.first_token for chunk in spoken]
            assert firsts == list(range(0, REPLY_TOKENS, CHUNK_AUDIO_TOKENS))
            frames = np.concatenate([chunk.frames for chunk in spoken]).astype(np.int16)
            assert np.abs(np.diff(frames, axis=0)).mean() > 0.1
            voices.append(np.concatenate([chunk.pcm for chunk in spoken]))
        assert np.abs(voices[0][: REPLY_TOKENS * TOKEN_SAMPLES].astype(int)).mean() > 100
        assert np.array_equal(voices[0], voices[1])


async def test_an_interrupted_voice_falls_silent_and_the_next_reply_is_heard(
    assets_dir: Path, tmp_path: Path, decoder: Path
) -> None:
    options = {"speech": "glm4voice", "speech_weights": str(decoder), "speech_device": "cpu"}
    async with running(assets_dir, tmp_path, **options) as socket:
        await open_call(socket, "call")
        for part in answer("call"):
            await socket.send(part)
        heard: list[AVChunk] = []
        while not any(chunk.audio_tokens for chunk in heard):
            heard += await take(socket, "call", 2)
        shown = heard[-1].chunk
        await socket.send(
            Interrupt(session_id="call", epoch=2, turn=1, heard_tokens=4, last_shown_chunk=shown)
        )
        after = await take(socket, "call", 4)
        assert [chunk.chunk for chunk in after] == list(range(shown + 1, shown + 5))
        assert not any(chunk.pcm.any() for chunk in after)
        for part in answer("call", epoch=3, turn=2, seed=6):
            await socket.send(part)
        spoken = await speak(socket, "call")
        assert {(chunk.epoch, chunk.turn) for chunk in spoken} == {(3, 2)}
        assert sum(chunk.audio_tokens for chunk in spoken) == REPLY_TOKENS


async def test_speech_that_comes_decoded_is_refused_with_the_way_out(
    assets_dir: Path, tmp_path: Path, decoder: Path
) -> None:
    options = {"speech": "glm4voice", "speech_weights": str(decoder), "speech_device": "cpu"}
    async with running(assets_dir, tmp_path, **options) as socket:
        await open_call(socket, "call")
        await socket.send(reply("AA M " * 8, session_id="call"))
        failure = await socket.recv()
        assert isinstance(failure, Failure)
        assert 'speech = "carried"' in failure.message


def test_an_actor_without_the_decoders_files_says_how_to_get_them_and_ends(
    assets_dir: Path, tmp_path: Path
) -> None:
    options = {"speech": "glm4voice", "speech_weights": str(tmp_path / "nothing")}
    process = actor(assets_dir, f"ipc://{tmp_path}/a", **options)
    _, said = process.communicate(timeout=3 * READY_WITHIN_S)
    assert process.returncode == 3
    assert "flow.pt is missing" in said
    assert "xstreamer weights pull" in said
