"""The real Thinker process: a spoken question in; transcript, answer, speech and phones out."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from proto.message import Message
from proto.messages import (
    CloseSession,
    EngineStatus,
    Failure,
    HiddenChunk,
    Interrupt,
    OpenThinkerSession,
    Ping,
    SessionReady,
    TextDelta,
    Transcript,
    TurnBoundary,
    TurnEnd,
    UserAudio,
    UserText,
)
from proto.time_law import AUDIO_TOKEN_US, HEARING_BLOCK_SAMPLES
from proto.wire.curve import CurveClient, new_key_pair
from proto.wire.sockets import ClientSocket, ServerSocket, request
from tests.chat_server import UNKNOWN_MODEL, ChatServer, serving
from tests.leaks import leaks
from thinker_server.brain.gguf_conversion import smollm2_directory
from thinker_server.server import STATUS_INTERVAL_S
from thinker_server.speaking.hibari_voice import HibariVoice
from thinker_server.speaking.pronunciation import Pronouncer

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 120.0
ANSWER_WITHIN_S = 60.0
PUBLIC_KEY, SECRET_KEY = new_key_pair()
CHAT_KEY = "sk-only-for-the-chat-server"
OURS = CurveClient(*new_key_pair(), PUBLIC_KEY)


@pytest.fixture(scope="module")
def thinker(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Thinker; the endpoint that it listens on."""
    with running(assets_dir, tmp_path_factory.mktemp("thinker"), {}) as address:
        yield address


class running:  # noqa: N801 - reads as a context, `with running(...)`
    """A Thinker process with some settings, which lets in `OURS` only; it must end well when told
    to, and log no secret.
    """

    def __init__(self, assets: Path, directory: Path, settings: dict[str, str]) -> None:
        self._address = f"ipc://{directory}/t"
        self._log = directory / "thinker.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("XSTREAMER_THINKER_")}
        self._environment = kept | {
            "HF_HUB_OFFLINE": "1",
            "XSTREAMER_THINKER_ENDPOINT": self._address,
            "XSTREAMER_THINKER_ASSETS": str(assets),
            "XSTREAMER_THINKER_CACHE": str(assets.parent),
            "XSTREAMER_THINKER_BRAIN": "smollm2-135m",
            "XSTREAMER_THINKER_LOG_LEVEL": "DEBUG",
            "XSTREAMER_THINKER_CURVE_PUBLIC_KEY": OURS.server_key,
            "XSTREAMER_THINKER_CURVE_SECRET_KEY": SECRET_KEY,
            "XSTREAMER_THINKER_CURVE_CLIENT_KEYS": json.dumps([OURS.public_key]),
            **settings,
        }

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "thinker_server"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self._environment, stdout=log, stderr=log
            )
        try:
            ping = Ping(session_id="ping")
            status = asyncio.run(request(self._address, ping, READY_WITHIN_S, OURS))
        except BaseException:
            self._process.kill()
            sys.stderr.write(self._log.read_text())
            raise
        assert isinstance(status, EngineStatus)
        self.status = status
        return self._address

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            assert self._process.wait(20) == 0
        finally:
            self._process.kill()
            sys.stderr.write(self._log.read_text())
        assert self._log.read_text()
        secrets = {"the Thinker's secret key": SECRET_KEY, "the chat server's key": CHAT_KEY}
        assert leaks([self._log], secrets) == []


@pytest.fixture(scope="module")
def questions() -> dict[str, np.ndarray]:
    """Spoken questions, 16 kHz s16."""
    voice = HibariVoice(Pronouncer(british=False), threads=1)
    spoken = {}
    for text in ("What is the capital of France?", "How many legs does a spider have?"):
        speech = voice.synthesise(text).pcm.astype(np.float64)
        heard = resample_poly(np.pad(speech, (6000, 9600)), 2, 3)
        spoken[text] = np.clip(heard, -32768, 32767).astype(np.int16)
    return spoken


@dataclass
class Call:
    """An agent and an Actor in one: what they send and get."""

    session_id: str
    socket: ClientSocket
    agent: list[Message] = field(default_factory=list)
    speech: list[HiddenChunk] = field(default_factory=list)

    async def send(self, kind: type[Message], **fields: object) -> None:
        await self.socket.send(kind.model_validate({"session_id": self.session_id, **fields}))

    async def until(self, kind: type[Message], count: int = 1) -> Message:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while len(found := [m for m in self.agent if isinstance(m, kind)]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found[count - 1]

    async def say(self, pcm: np.ndarray, turn: int, pace: float = 1.0) -> None:
        """Speak in (scaled) real time, then pause and end the turn."""
        await self.send(TurnBoundary, phase="started", turn=turn, epoch=turn - 1)
        for at in range(0, len(pcm) - HEARING_BLOCK_SAMPLES, HEARING_BLOCK_SAMPLES):
            block = pcm[at : at + HEARING_BLOCK_SAMPLES]
            await self.send(UserAudio, pts_us=at * 1000 // 16, pcm=block)
            await asyncio.sleep(0.02 * pace)
        await self.send(TurnBoundary, phase="paused", turn=turn, epoch=turn - 1)
        await asyncio.sleep(0.2)
        await self.send(TurnBoundary, phase="ended", turn=turn, epoch=turn)

    def answer(self, turn: int) -> str:
        deltas = [m for m in self.agent if isinstance(m, TextDelta) and m.turn == turn]
        return "".join(delta.text for delta in deltas)

    def transcript(self, turn: int) -> str:
        finals = [m for m in self.agent if isinstance(m, Transcript) and m.final]
        return " ".join(m.text for m in finals if m.turn == turn)


@asynccontextmanager
async def calling(
    thinker: str, directory: Path, session_id: str, voice: str = "hibari", language: str = "en-US"
) -> AsyncIterator[Call]:
    """An open session with an Actor of its own that only listens."""
    actor_address = f"ipc://{directory}/{session_id}"
    async with ServerSocket(actor_address) as actor, ClientSocket(thinker, OURS) as socket:
        call = Call(session_id, socket)

        async def listen_to_thinker() -> None:
            while True:
                call.agent.append(await socket.recv())

        async def act() -> None:
            while True:
                _, message = await actor.recv()
                assert isinstance(message, HiddenChunk)
                call.speech.append(message)

        listening = asyncio.gather(listen_to_thinker(), act())
        await call.send(
            OpenThinkerSession,
            name="Mara",
            persona="Warm and curious.",
            voice=voice,
            language=language,
            actor_endpoint=actor_address,
        )
        try:
            yield call
            await call.send(CloseSession)
            await asyncio.sleep(0.1)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_a_spoken_question_is_understood_and_answered_aloud(
    thinker: str, questions: dict[str, np.ndarray], tmp_path: Path
) -> None:
    async with calling(thinker, tmp_path, "one") as call:
        await call.until(SessionReady)
        await call.say(questions["What is the capital of France?"], turn=1)
        end = await call.until(TurnEnd)
    assert isinstance(end, TurnEnd)
    assert call.transcript(1).lower().rstrip("?") == "what is the capital of france"
    assert "Paris" in call.answer(1)
    assert [m for m in call.agent if isinstance(m, Transcript) and not m.final]
    assert_speech_is_whole(call.speech, end)
    spoken = [p.symbol for chunk in call.speech for p in chunk.phones or ()]
    assert "P EH R AH S" in " ".join(spoken), "the answer's last word as phones"
    assert call.speech[0].stamps[0].name == "user_speech_end"


def assert_speech_is_whole(speech: list[HiddenChunk], end: TurnEnd) -> None:
    """Tokens add up, times are in order, text slots carry hidden states."""
    assert sum(chunk.audio_tokens for chunk in speech) == end.audio_tokens > 0
    assert [chunk.final for chunk in speech] == [False] * (len(speech) - 1) + [True]
    for chunk in speech:
        assert chunk.pcm is not None
        assert chunk.features is not None
        assert (chunk.turn, chunk.epoch) == (end.turn, end.epoch)
    phones = [phone for chunk in speech for phone in chunk.phones or ()]
    assert all(a.end_us == b.start_us for a, b in pairwise(phones))
    assert phones[-1].end_us <= end.audio_tokens * AUDIO_TOKEN_US
    states = [chunk.text_states for chunk in speech if chunk.text_states is not None]
    assert all(array.shape[1] == 576 for array in states)
    assert sum(len(array) for array in states) >= 5


async def test_the_voice_sounds_where_its_phones_say(
    thinker: str, questions: dict[str, np.ndarray], tmp_path: Path
) -> None:
    async with calling(thinker, tmp_path, "phones") as call:
        await call.until(SessionReady)
        await call.say(questions["What is the capital of France?"], turn=1)
        await call.until(TurnEnd)
    pcm = np.concatenate([c.pcm for c in call.speech if c.pcm is not None]).astype(np.float64)
    phones = [phone for chunk in call.speech for phone in chunk.phones or ()]
    loud = [_level(pcm, p.start_us, p.end_us) for p in phones if p.symbol in ("AE", "EH", "IH")]
    still = [_level(pcm, p.start_us, p.end_us) for p in phones if p.symbol == "SIL"]
    assert min(loud) > 8 * max(still)


def _level(pcm: np.ndarray, start_us: int, end_us: int) -> float:
    stretch = pcm[start_us * 24 // 1000 : end_us * 24 // 1000]
    return float(np.sqrt(np.mean(stretch**2)))


async def test_an_interruption_cuts_the_context_to_what_was_heard(
    thinker: str, tmp_path: Path
) -> None:
    async with calling(thinker, tmp_path, "cut") as call:
        await call.until(SessionReady)
        question = "My name is Robert. What is the largest planet in the solar system?"
        await call.send(UserText, text=question, turn=1, epoch=1)
        await call.until(TurnEnd)
        whole = call.answer(1)
        await call.send(Interrupt, turn=1, epoch=2, heard_tokens=0, last_shown_chunk=-1)
        await call.send(UserText, text="What is its name?", turn=3, epoch=3)
        await call.until(TurnEnd, 2)
        assert "Jupiter" in whole
        assert call.answer(3)
        assert {chunk.epoch for chunk in call.speech if chunk.turn == 3} == {3}


async def test_an_interrupt_stops_a_reply_that_is_being_made(thinker: str, tmp_path: Path) -> None:
    async with calling(thinker, tmp_path, "stop", voice="kokoro:am_michael") as call:
        await call.until(SessionReady)
        await call.send(UserText, text="Tell me a long story about the sea.", turn=1, epoch=1)
        await asyncio.sleep(0.3)
        await call.send(Interrupt, turn=1, epoch=2, heard_tokens=0, last_shown_chunk=-1)
        end = await call.until(TurnEnd)
        heard = len(call.speech)
        await asyncio.sleep(1.0)
    assert isinstance(end, TurnEnd)
    assert end.reason == "interrupted"
    assert len(call.speech) == heard, "nothing more is said after an interrupt"


async def test_the_session_of_a_dead_agent_is_free_for_the_next_one_at_once(
    thinker: str, tmp_path: Path
) -> None:
    opening = OpenThinkerSession(
        session_id="taken-over",
        name="Mara",
        voice="hibari",
        language="en-US",
        actor_endpoint=f"ipc://{tmp_path}/actor",
    )
    async with ClientSocket(thinker, OURS) as dead:
        await dead.send(opening)
        assert isinstance(await dead.recv(), SessionReady)
    answers: list[Message] = []
    async with ClientSocket(thinker, OURS) as successor, asyncio.timeout(STATUS_INTERVAL_S / 2):
        while not answers or not isinstance(answers[-1], SessionReady):
            await successor.send(opening)
            answers.append(await successor.recv())
            await asyncio.sleep(0.2)


async def test_two_sessions_at_once_do_not_mix(
    thinker: str, questions: dict[str, np.ndarray], tmp_path: Path
) -> None:
    france, spider = questions.values()
    async with (
        calling(thinker, tmp_path, "left") as left,
        calling(thinker, tmp_path, "right", voice="kokoro:bf_emma") as right,
    ):
        await asyncio.gather(left.until(SessionReady), right.until(SessionReady))
        await asyncio.gather(left.say(france, turn=1), right.say(spider, turn=1))
        ends = await asyncio.gather(left.until(TurnEnd), right.until(TurnEnd))
    assert "Paris" in left.answer(1)
    assert "eight" in right.answer(1).lower()
    for call, end in zip((left, right), ends, strict=True):
        assert isinstance(end, TurnEnd)
        assert {chunk.session_id for chunk in call.speech} == {call.session_id}
        assert_speech_is_whole(call.speech, end)


@pytest.mark.parametrize(
    ("voice", "language", "code", "named"),
    [
        ("nobody", "en", "unknown_voice", "kokoro:am_michael"),
        ("hibari", "fr-FR", "language_unsupported", "en"),
    ],
)
async def test_what_is_not_there_is_refused_with_what_is(
    thinker: str, tmp_path: Path, voice: str, language: str, code: str, named: str
) -> None:
    async with calling(thinker, tmp_path, "refused", voice, language) as call:
        failure = await call.until(Failure)
    assert isinstance(failure, Failure)
    assert failure.code == code
    assert named in failure.message


async def test_the_status_names_the_brain_and_how_to_change_it(thinker: str) -> None:
    status = await request(thinker, Ping(session_id="who"), 5.0, OURS)
    assert isinstance(status, EngineStatus)
    assert status.labels["brain"] == "SmolLM2-135M-Instruct"
    assert "XSTREAMER_THINKER_BRAIN" in status.labels["brain_how_to_change"]
    assert "kokoro:bf_emma" in status.labels["voices"]


@pytest.fixture(scope="module")
def chat_server() -> Iterator[ChatServer]:
    """A local OpenAI-compatible server."""
    pieces = "**Hello| there**,| I am| remote. \U0001f600"
    with serving(ChatServer(lambda _: pieces)) as server:
        yield server


async def ask_remote(address: str, tmp_path: Path) -> Call:
    async with calling(address, tmp_path, "remote") as call:
        await call.until(SessionReady)
        await call.send(UserText, text="Who are you?", turn=1, epoch=1)
        await call.until(TurnEnd)
    return call


def test_an_openai_compatible_server_can_be_the_brain(
    assets_dir: Path, chat_server: ChatServer, tmp_path: Path
) -> None:
    settings = {**chat_server.settings(), "XSTREAMER_THINKER_OPENAI_API_KEY": CHAT_KEY}
    with running(assets_dir, tmp_path, settings) as address:
        call = asyncio.run(ask_remote(address, tmp_path))
    assert call.answer(1) == "Hello there, I am remote."
    assert all(chunk.text_states is None for chunk in call.speech), "its text slots are masked"
    (asked,) = chat_server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["key"] == f"Bearer {CHAT_KEY}"


def test_a_model_that_the_chat_server_lacks_is_a_clear_failure(
    assets_dir: Path, chat_server: ChatServer, tmp_path: Path
) -> None:
    settings = chat_server.settings(UNKNOWN_MODEL)
    with running(assets_dir, tmp_path, settings) as address:
        call = asyncio.run(ask_remote(address, tmp_path))
    (failure,) = [m for m in call.agent if isinstance(m, Failure)]
    assert failure.code == "brain_unavailable"
    assert "404 (model_not_found)" in failure.message
    assert "vendor" not in failure.message, "a server's own words may repeat the prompt or the key"
    assert [m.reason for m in call.agent if isinstance(m, TurnEnd)] == ["failed"]


def test_any_causal_model_in_a_directory_can_be_the_brain(assets_dir: Path, tmp_path: Path) -> None:
    directory = smollm2_directory(assets_dir, assets_dir.parent)
    settings = {"XSTREAMER_THINKER_BRAIN": str(directory)}
    with running(assets_dir, tmp_path, settings) as address:
        call = asyncio.run(ask_remote(address, tmp_path))
    assert call.answer(1)
    assert all(chunk.text_states is None for chunk in call.speech), "the Actor does not know it"
