"""A staged call: who speaks when, what the face hears, and the mark on every picture."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from actor_server.evaluation.sample_call import (
    HEARD_SAMPLES,
    RESTING_CHUNKS,
    THINKING_CHUNKS,
    StagedCall,
    Turn,
    marked,
    read_turns,
    stage,
)
from actor_server.evaluation.video import SYNTHETIC, write_video
from actor_server.motion.procedural import ProceduralMotion
from actor_server.session import ActorSession, Pacing
from proto.message_file import write_messages
from proto.time_law import CHUNK_SAMPLES, FRAME_HEIGHT, FRAME_WIDTH, I420_ROWS
from tests.unit.actor_server.conditions import parts_of, reply
from tests.unit.actor_server.faces import SketchFace

pytestmark = pytest.mark.unit

WORDS = "M AA M IY B AA P UW"
HUM = (8_000 * np.sin(np.arange(2 * CHUNK_SAMPLES + 100) / 20)).astype(np.int16)


def session(face: SketchFace | None = None) -> ActorSession:
    return ActorSession("sample", face or SketchFace(), ProceduralMotion(), 1, Pacing())


def asked(turn: int) -> Turn:
    return Turn(HUM, tuple(parts_of(reply(WORDS, turn=turn, epoch=turn), [4, 4])))


def test_a_call_is_questions_and_answers_in_turn_with_both_voices() -> None:
    call = stage(session(), [asked(1), asked(2)], seconds=60)
    tokens = reply(WORDS).audio_tokens
    answer = -(-tokens // 4)
    one = 3 + THINKING_CHUNKS + answer + RESTING_CHUNKS
    assert [chunk.turn for chunk in call.chunks if chunk.last] == [1, 2]
    assert len(call.chunks) == RESTING_CHUNKS + 2 * one
    assert [chunk.chunk for chunk in call.chunks] == list(range(len(call.chunks)))
    assert call.seconds == pytest.approx(len(call.sound) * 0.32)
    begin = RESTING_CHUNKS
    np.testing.assert_array_equal(np.concatenate(call.sound[begin : begin + 3])[: len(HUM)], HUM)
    spoken = np.concatenate(call.sound[begin + 3 + THINKING_CHUNKS :])
    pcm = reply(WORDS).pcm
    assert pcm is not None
    np.testing.assert_array_equal(spoken[: len(pcm)], pcm)


def test_no_question_is_asked_when_the_time_is_over() -> None:
    call = stage(session(), [asked(1), asked(2), asked(3)], seconds=2.0)
    assert [chunk.turn for chunk in call.chunks if chunk.last] == [1]


def test_the_face_hears_the_caller() -> None:
    heard = HUM[:HEARD_SAMPLES]
    faces = []
    for said in (heard, np.zeros_like(heard), heard):
        face = SketchFace()
        call = StagedCall(session(face))
        for _ in range(8):
            call.play(hearing=said, speaking=True)
        faces.append(np.stack(face.drawn))
    loud, quiet, again = faces
    np.testing.assert_array_equal(loud, again)
    assert np.abs(loud - quiet).max() > 1e-3


def test_every_picture_carries_the_mark_and_the_file_says_what_it_is(tmp_path: Path) -> None:
    blank = np.full((I420_ROWS, FRAME_WIDTH), 128, np.uint8)
    shown = marked(blank)
    changed = np.flatnonzero((shown != 128).any(1))
    assert changed.min() > 0.9 * FRAME_HEIGHT
    assert changed.max() < FRAME_HEIGHT, "colours stay"
    path = tmp_path / "call.mp4"
    write_video(path, [shown] * 25, np.zeros(24_000, np.int16), "yuv420p")
    with av.open(str(path)) as video:
        assert video.metadata["comment"] == SYNTHETIC
        (first, *rest) = video.decode(video=0)
        assert len(rest) == 24
        light = first.to_ndarray(format="yuv420p")[:FRAME_HEIGHT].astype(int)
    assert light[:200].std() < 3 < light[240:250].std()


def test_turns_are_what_was_both_asked_and_answered(tmp_path: Path) -> None:
    write_messages(tmp_path / "a-1.messages", [reply(WORDS)])
    soundfile.write(tmp_path / "a-1.caller.flac", HUM, 24_000)
    lines = [
        {"file": "a-1.messages", "asked": "a-1.caller.flac"},
        {"file": "", "asked": "a-1.caller.flac"},
        {"file": "a-1.messages", "asked": ""},
    ]
    (tmp_path / "index.json").write_text(json.dumps({"answers": lines}))
    (turn,) = read_turns(tmp_path)
    np.testing.assert_array_equal(turn.question, HUM)
    assert len(turn.answer) == 1
    (tmp_path / "index.json").write_text(json.dumps({"answers": lines[1:]}))
    with pytest.raises(ValueError, match="asked and answered"):
        read_turns(tmp_path)
