"""Two minutes of a call as a video: somebody asks aloud, the avatar listens and answers.

    python -m actor_server.evaluation.sample_call --out sample.mp4      (make sample)

The questions are written and read by another of the product's voices; the answers are the chat
model's (`thinker_server.answer_queries`). From the messages on it is what a call has: the Actor's
session with its motion, moods and painter, chunk by chunk, hearing the caller. There is no room, no
network and no clock: who speaks when is decided here, and nothing comes late.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from scipy.signal import resample_poly

from actor_server.config import ActorConfig
from actor_server.evaluation.queries import INDEX_NAME
from actor_server.evaluation.rendered import PORTRAITS
from actor_server.evaluation.video import write_video
from actor_server.mesh_studio import MeshStudio
from actor_server.motion.choice import choose_motion
from actor_server.session import ActorSession, Pacing
from proto.message_file import read_messages
from proto.messages import AVChunk, Grant, HiddenChunk, Listen
from proto.speech_features import SpeechFeatures, token_features
from proto.time_law import CHUNK_SAMPLES, CHUNK_US, FRAME_HEIGHT, HEARING_HZ, SPEECH_HZ

Sound = NDArray[np.int16]

QUESTIONS: Final = Path(__file__).parent / "data" / "sample_call.txt"
THINKING_CHUNKS: Final = 2
"""0.64 s from the caller's last word to the answer."""
RESTING_CHUNKS: Final = 4
"""1.3 s at the beginning, after each answer and at the end."""
HEARD_SAMPLES: Final = CHUNK_SAMPLES * HEARING_HZ // SPEECH_HZ
SILENCE: Final[Sound] = np.zeros(CHUNK_SAMPLES, np.int16)
UNHEARD: Final[Sound] = np.zeros(HEARD_SAMPLES, np.int16)
MARK: Final = "AI-generated"
_CALL: Final = "sample"


@dataclass(frozen=True)
class Turn:
    """A question (N,) s16 at 24 kHz, and its answer as the Thinker sent it."""

    question: Sound
    answer: tuple[HiddenChunk, ...]


@dataclass
class StagedCall:
    """An Actor's session, a caller's voice, and all that was seen and heard."""

    session: ActorSession
    now_us: int = 0
    heard: SpeechFeatures = field(default_factory=SpeechFeatures)
    chunks: list[AVChunk] = field(default_factory=list)
    sound: list[Sound] = field(default_factory=list)
    """Both voices, a chunk each."""

    @property
    def seconds(self) -> float:
        return self.now_us / 1e6

    def take(self, turn: Turn) -> None:
        """The caller asks, the avatar answers, nobody speaks."""
        question = np.pad(turn.question, (0, -len(turn.question) % CHUNK_SAMPLES))
        heard = resample_poly(question.astype(np.float32), HEARING_HZ, SPEECH_HZ).astype(np.int16)
        pairs = zip(
            question.reshape(-1, CHUNK_SAMPLES), heard.reshape(-1, HEARD_SAMPLES), strict=True
        )
        for said, hearing in pairs:
            self.play(said, hearing, speaking=True)
        self.rest(THINKING_CHUNKS)
        for part in turn.answer:
            self.session.deliver(part, self.now_us)
        while not self.play().last:
            pass
        self.rest(RESTING_CHUNKS)

    def rest(self, chunks: int) -> None:
        """Nobody speaks."""
        for _ in range(chunks):
            self.play()

    def play(
        self, said: Sound = SILENCE, hearing: Sound = UNHEARD, *, speaking: bool = False
    ) -> AVChunk:
        """One chunk of the call: what the caller says in it, and the same as it is heard."""
        features = token_features(self.heard.push(hearing))
        epoch = self.session.epoch
        for message in (
            Listen(session_id=_CALL, epoch=epoch, speaking=speaking, features=features),
            Grant(session_id=_CALL, epoch=epoch, credit=1),
        ):
            self.session.deliver(message, self.now_us)
        while (chunk := self.session.step(self.now_us)) is None:
            pass
        self.now_us += CHUNK_US
        self.chunks.append(chunk)
        both = chunk.pcm.astype(np.int32) + said
        self.sound.append(np.clip(both, -32768, 32767).astype(np.int16))
        return chunk

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """All pictures (384, 256) I420, with the mark that they are synthetic."""
        for chunk in self.chunks:
            yield from map(marked, chunk.frames)


def marked(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The I420 frame with a line that every viewer can read."""
    shown = np.ascontiguousarray(frame)
    light = shown[:FRAME_HEIGHT]
    for shade, thickness in ((0, 3), (255, 1)):
        cv2.putText(
            light, MARK, (6, 248), cv2.FONT_HERSHEY_SIMPLEX, 0.4, shade, thickness, cv2.LINE_AA
        )
    return shown


def stage(session: ActorSession, turns: Sequence[Turn], seconds: float) -> StagedCall:
    """Play turns until so many seconds are over; the answer under way is heard out."""
    call = StagedCall(session)
    call.rest(RESTING_CHUNKS)
    for turn in turns:
        if call.seconds >= seconds:
            break
        call.take(turn)
    return call


def read_turns(folder: Path) -> list[Turn]:
    """The answered questions of a folder with an index. Raises ValueError for none."""
    index = json.loads((folder / INDEX_NAME).read_text())
    turns = [_turn(folder, line) for line in index["answers"] if line["file"] and line["asked"]]
    if not turns:
        raise ValueError(f"no question of {folder} was both asked and answered")
    return turns


def _turn(folder: Path, line: dict[str, Any]) -> Turn:
    question, _ = soundfile.read(folder / line["asked"], dtype="int16")
    return Turn(question, tuple(cast(list[HiddenChunk], read_messages(folder / line["file"]))))


def ask(questions: Path, voice: str, caller: str, folder: Path) -> None:
    """Have the Thinker answer and read the questions, in a process of its own."""
    queries, answers = folder / "questions", folder / "answers"
    queries.mkdir()
    answers.mkdir()
    (queries / "call.txt").write_text(questions.read_text())
    asked = ["--queries", str(queries), "--out", str(answers), "--voice", voice, "--caller", caller]
    subprocess.run([sys.executable, "-m", "thinker_server.answer_queries", *asked], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A call as a video.")
    parser.add_argument("--out", type=Path, required=True, help="an .mp4 file")
    parser.add_argument("--portrait", type=Path, default=PORTRAITS / "mara.jpg")
    parser.add_argument("--questions", type=Path, default=QUESTIONS, help="one on each line")
    parser.add_argument("--voice", default="hibari", help="the avatar's")
    parser.add_argument("--caller", default="kokoro:am_eric", help="the voice that asks")
    parser.add_argument("--seconds", type=float, default=120, help="no question after these")
    parser.add_argument("--seed", type=int, default=0, help="of the face's motion")
    parser.add_argument("--assets", type=Path, default=ActorConfig().assets.expanduser())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ask(options.questions, options.voice, options.caller, Path(folder))
        turns = read_turns(Path(folder) / "answers")
    studio = MeshStudio(options.assets)
    try:
        face = studio.build(options.portrait.read_bytes())
    finally:
        studio.close()
    motion = choose_motion("auto", None, max_sessions=1)
    session = ActorSession(_CALL, face, motion, options.seed, Pacing())
    call = stage(session, turns, options.seconds)
    session.close()
    write_video(options.out, call.frames(), np.concatenate(call.sound), "yuv420p")
    said = f"{options.out}: {call.seconds:.0f} s, a generated face and generated voices"
    Console().print(said, markup=False)


if __name__ == "__main__":
    main()
