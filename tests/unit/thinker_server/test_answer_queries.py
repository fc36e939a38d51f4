"""Queries of a folder are answered as calls are, and what the Actor would get is kept."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from proto.message_file import read_messages
from proto.messages import HiddenChunk, OpenThinkerSession
from tests.unit.thinker_server.doubles import (
    LIMITS,
    EvenVoice,
    ScriptedConversation,
    ScriptedRecogniser,
    wired_session,
)
from thinker_server.answer import SessionParts
from thinker_server.answer_queries import (
    Answered,
    Query,
    answer_all,
    read_aloud,
    read_queries,
    write_index,
)
from thinker_server.brain.brain import ChatMessage
from thinker_server.dialogue import Dialogue
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Send
from thinker_server.session import ThinkerSession
from thinker_server.workers import Workers

pytestmark = pytest.mark.unit

ANSWERS = ["The sea is calm today.", "Take a coat, if you have one."]


@dataclass
class ScriptedEngine:
    """Sessions that answer with scripts and hear a text in any sound."""

    scripts: list[str]
    heard: str = "how is it"
    conversations: list[ScriptedConversation] = field(default_factory=list)
    metrics: ThinkerMetrics = field(default_factory=ThinkerMetrics)
    config: Any = None

    async def open(self, opened: OpenThinkerSession, send: Send) -> ThinkerSession[Any]:
        self.conversations.append(ScriptedConversation(self.scripts))
        dialogue = Dialogue([ChatMessage("system", "be kind")], (), lambda m: len(m), 1000)
        parts = SessionParts(
            self.conversations[-1],
            dialogue,
            ScriptedRecogniser([self.heard]),
            EvenVoice(),
            self.workers,
            LIMITS,
            self.metrics,
        )
        return ThinkerSession(opened, parts, send)

    def __post_init__(self) -> None:
        self.workers = Workers()

    def labels(self) -> dict[str, str]:
        return {"brain": "scripted"}

    async def close(self) -> None:
        self.workers.close()


def kept(folder: Path, file: str) -> list[HiddenChunk]:
    return cast(list[HiddenChunk], read_messages(folder / file))


async def test_what_is_kept_of_an_answer_is_what_a_call_sends(tmp_path: Path) -> None:
    engine = ScriptedEngine(ANSWERS)
    asked = Query("sea", ("How is the sea?", "And the wind?"))
    first, second = await answer_all(engine, [asked], "even", tmp_path)
    async with wired_session(ScriptedConversation(ANSWERS), ["How is the sea?"]) as wired:
        await wired.ask(1)
        called = [message for message in wired.actor if isinstance(message, HiddenChunk)]
    ours = kept(tmp_path, first.file)
    assert len(ours) == len(called) > 1
    for mine, theirs in zip(ours, called, strict=True):
        for name in ("first_token", "audio_tokens", "final", "phones", "features", "text_states"):
            np.testing.assert_equal(getattr(mine, name), getattr(theirs, name), name)
    assert (first.answer, second.answer) == (ANSWERS[0], ANSWERS[1])
    assert sum(part.audio_tokens for part in kept(tmp_path, second.file)) == second.audio_tokens
    told = [message.text for message in engine.conversations[0].prompts[1]]
    assert told == ["be kind", "How is the sea?", ANSWERS[0], "And the wind?"]


async def test_conversations_know_nothing_of_each_other(tmp_path: Path) -> None:
    engine = ScriptedEngine(ANSWERS)
    asked = [Query("a", ("One?",)), Query("b", ("Two?",))]
    write_index(tmp_path, "even", await answer_all(engine, asked, "even", tmp_path))
    assert [len(one.prompts[0]) for one in engine.conversations] == [2, 2]
    index = json.loads((tmp_path / "index.json").read_text())
    assert [(a["query"], a["turn"], a["file"]) for a in index["answers"]] == [
        ("a", 1, "a-1.messages"),
        ("b", 1, "b-1.messages"),
    ]


async def test_a_spoken_query_is_heard_out_and_one_without_words_has_no_answer(
    tmp_path: Path,
) -> None:
    sound = np.full(16_000 * 25, 900, np.int16)  # longer than a session's inbox
    engine = ScriptedEngine(ANSWERS)
    (spoken,) = await answer_all(engine, [Query("voice", (sound,))], "even", tmp_path)
    assert (spoken.question, spoken.answer, spoken.outcome) == (
        "how is it",
        ANSWERS[0],
        "completed",
    )
    deaf = ScriptedEngine(ANSWERS, heard="")
    (silent,) = await answer_all(deaf, [Query("mumble", (sound[:8000],))], "even", tmp_path)
    assert (silent.outcome, silent.file, silent.audio_tokens) == ("empty", "", 0)


def test_questions_with_words_are_read_aloud(tmp_path: Path) -> None:
    asked = Answered(
        "sea", 1, "How is it? And the wind?", "Calm.", "completed", "sea-1.messages", 9
    )
    mumbled = Answered("mumble", 1, "", "", "empty", "", 0)
    first, second = read_aloud([asked, mumbled], EvenVoice(), tmp_path)
    pcm, rate = soundfile.read(tmp_path / first.asked, dtype="int16")
    clauses = [EvenVoice().synthesise(said).pcm for said in ("How is it?", "And the wind?")]
    np.testing.assert_array_equal(pcm, np.concatenate(clauses))
    assert (rate, second) == (24_000, mumbled)


def test_a_folder_has_a_turn_on_each_line_and_sounds_at_any_rate(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("Hello.\n\n  How are you? \n")
    tone = np.sin(np.arange(44_100) / 20).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", np.stack([tone, tone], 1), 44_100)
    (tmp_path / "notes.md").write_text("no query")
    spoken, written = read_queries(tmp_path)
    assert written == Query("b", ("Hello.", "How are you?"))
    (sound,) = spoken.turns
    assert len(sound) == 16_000
    assert np.abs(np.asarray(sound)).max() > 30_000


def test_folders_that_cannot_be_asked_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no \.txt, \.wav or \.flac"):
        read_queries(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(61 * 16_000, np.float32), 16_000)
    with pytest.raises(ValueError, match="lasts 61 s"):
        read_queries(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(160, np.float32), 16_000)
    (tmp_path / "a.txt").write_text("Hello.")
    with pytest.raises(ValueError, match="same name"):
        read_queries(tmp_path)
