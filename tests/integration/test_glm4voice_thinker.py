"""The real Thinker process with GLM-4-Voice tiny and random: noise, but every message."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from proto.messages import (
    EngineStatus,
    Failure,
    HiddenChunk,
    Interrupt,
    SessionReady,
    TextDelta,
    Transcript,
    TurnEnd,
    UserText,
)
from proto.time_law import SEGMENT_AUDIO_TOKENS
from tests.integration.test_thinker_server import REPOSITORY, Call, calling, running
from thinker_server.glm4voice.tiny import CODES, write_tiny_models

pytestmark = pytest.mark.integration

WIDTH = 64
REPLY_TOKENS = 120


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Thinker; the endpoint that it listens on."""
    directory = tmp_path_factory.mktemp("glm")
    models = write_tiny_models(directory / "models")
    settings = {
        "XSTREAMER_THINKER_BACKEND": "glm4voice",
        "XSTREAMER_THINKER_GLM4VOICE_MODEL": str(models.model),
        "XSTREAMER_THINKER_GLM4VOICE_SPEECH_TOKENIZER": str(models.speech_tokenizer),
        "XSTREAMER_THINKER_GLM4VOICE_DEVICE": "cpu",
        "XSTREAMER_THINKER_GLM4VOICE_CONTEXT_TOKENS": "2048",
        "XSTREAMER_THINKER_GLM4VOICE_MAX_REPLY_TOKENS": str(REPLY_TOKENS),
        "XSTREAMER_THINKER_GLM4VOICE_STATES": "true",
        "XSTREAMER_THINKER_RECOGNISERS": "{}",
        "XSTREAMER_THINKER_MAX_SESSIONS": "2",
    }
    process = running(directory / "assets", directory, settings)
    with process as address:
        assert isinstance(process.status, EngineStatus)
        assert process.status.labels["brain"] == "GLM-4-Voice"
        yield address


def noise(seconds: float) -> np.ndarray:
    dice = np.random.default_rng(1)
    return dice.integers(-9000, 9000, int(seconds * 16_000)).astype(np.int16)


def assert_speech_is_whole(speech: list[HiddenChunk], end: TurnEnd) -> None:
    """Codes add up, parts follow each other inside segments, each code has its state."""
    assert sum(chunk.audio_tokens for chunk in speech) == end.audio_tokens > SEGMENT_AUDIO_TOKENS
    assert [chunk.final for chunk in speech] == [False] * (len(speech) - 1) + [True]
    expected = 0
    for chunk in speech:
        assert chunk.first_token == expected
        expected += chunk.audio_tokens
        assert chunk.first_token // SEGMENT_AUDIO_TOKENS == (expected - 1) // SEGMENT_AUDIO_TOKENS
        assert (chunk.turn, chunk.epoch) == (end.turn, end.epoch)
        assert chunk.audio_ids is not None
        assert chunk.audio_states is not None
        assert chunk.audio_ids.min() >= 0
        assert chunk.audio_ids.max() < CODES
        assert chunk.audio_states.shape == (chunk.audio_tokens, WIDTH)
        assert chunk.pcm is None
    assert any(chunk.text_states is not None for chunk in speech)


async def test_a_spoken_question_is_answered_in_speech_tokens(thinker: str, tmp_path: Path) -> None:
    async with calling(thinker, tmp_path, "spoken") as call:
        ready = await call.until(SessionReady)
        await call.say(noise(1.0), turn=1, pace=0.2)
        end = await call.until(TurnEnd)
    assert isinstance(ready, SessionReady)
    assert ready.labels["voice"] == "GLM-4-Voice's own"
    assert isinstance(end, TurnEnd)
    assert end.reason == "completed"
    assert_speech_is_whole(call.speech, end)
    assert [m for m in call.agent if isinstance(m, Transcript) and m.final]
    assert call.speech[0].stamps[0].name == "user_speech_end"
    assert len(call.answer(1)) > 5


async def test_typed_questions_in_both_languages_are_answered(thinker: str, tmp_path: Path) -> None:
    for language, text in (("en-US", "What is this?"), ("zh-CN", "你好吗")):
        async with calling(thinker, tmp_path, language, language=language) as call:
            await call.until(SessionReady)
            await call.send(UserText, text=text, turn=1, epoch=1)
            end = await call.until(TurnEnd)
        assert isinstance(end, TurnEnd)
        assert_speech_is_whole(call.speech, end)
        assert not call.transcript(1)


async def test_two_sessions_at_once_answer_as_each_alone(thinker: str, tmp_path: Path) -> None:
    async def ask(session_id: str, text: str) -> Call:
        async with calling(thinker, tmp_path, session_id) as call:
            await call.until(SessionReady)
            await call.send(UserText, text=text, turn=1, epoch=1)
            await call.until(TurnEnd)
        return call

    def said(call: Call) -> list[int]:
        ids = [chunk.audio_ids for chunk in call.speech if chunk.audio_ids is not None]
        return [int(code) for code in np.concatenate(ids)]

    questions = {"left": "Who are you?", "right": "Where is the sea, and how deep?"}
    together = await asyncio.gather(*(ask(name, text) for name, text in questions.items()))
    alone = [await ask(name, text) for name, text in questions.items()]
    assert [said(call) for call in together] == [said(call) for call in alone]
    assert said(alone[0]) != said(alone[1])


async def test_an_interrupt_stops_the_answer_and_the_next_one_comes(
    thinker: str, tmp_path: Path
) -> None:
    async with calling(thinker, tmp_path, "cut") as call:
        await call.until(SessionReady)
        await call.send(UserText, text="Tell me a long story.", turn=1, epoch=1)
        await call.until(TextDelta)
        await call.send(Interrupt, turn=1, epoch=2, heard_tokens=2, last_shown_chunk=0)
        await call.send(UserText, text="Shorter!", turn=3, epoch=3)
        end = await call.until(TurnEnd, 2)
    assert isinstance(end, TurnEnd)
    assert (end.turn, end.reason) == (3, "completed")
    assert_speech_is_whole([chunk for chunk in call.speech if chunk.turn == 3], end)


async def test_what_cannot_be_served_is_refused_with_what_can(thinker: str, tmp_path: Path) -> None:
    async with calling(thinker, tmp_path, "french", language="fr") as call:
        failure = await call.until(Failure)
    assert isinstance(failure, Failure)
    assert failure.code == "language_unsupported"
    assert "en, zh" in failure.message


def test_a_directory_without_the_model_is_named_and_ends_the_process(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XSTREAMER_THINKER_")}
    settings = {
        "XSTREAMER_THINKER_BACKEND": "glm4voice",
        "XSTREAMER_THINKER_ENDPOINT": f"ipc://{tmp_path}/t",
        "XSTREAMER_THINKER_GLM4VOICE_MODEL": str(tmp_path / "nothing"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "thinker_server"],
        cwd=REPOSITORY,
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "nothing/tokenizer.json is missing" in done.stderr


def test_the_nano_preset_loads_nothing_of_this() -> None:
    program = (
        "import sys, thinker_server.__main__, thinker_server.server, thinker_server.engine;"
        "print([m for m in sys.modules if 'glm4voice' in m or 'models.glm' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
