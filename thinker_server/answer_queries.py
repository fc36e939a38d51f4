"""Answer a folder of queries as calls would be answered, and keep what the Actor would receive.

    python -m thinker_server.answer_queries --queries DIR --out DIR [--voice hibari] [--caller NAME]

Each .txt file is a conversation: a turn of the caller on each line, as if typed. Each .wav or .flac
file is one spoken turn. Every conversation has a session of its own, with the chat model, the voice
and the limits that a call would have; nobody interrupts. The HiddenChunk messages of one answer are
one file; `index.json` lists them. With `--caller` that voice reads what was typed to a file, too.
"""

import argparse
import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from proto.message import Message
from proto.message_file import write_messages
from proto.messages import (
    Failure,
    HiddenChunk,
    OpenThinkerSession,
    TextDelta,
    Transcript,
    TurnBoundary,
    TurnEnd,
    UserAudio,
    UserText,
)
from proto.time_law import HEARING_BLOCK_SAMPLES, HEARING_HZ, SPEECH_HZ
from thinker_server.backend import Engine, load_engine
from thinker_server.config import ThinkerConfig
from thinker_server.listening import BLOCK_US, MAX_WAITING_BLOCKS
from thinker_server.outlet import Destination
from thinker_server.reply import voiced
from thinker_server.session import ThinkerSession
from thinker_server.speaking.catalogue import VoiceCatalogue
from thinker_server.speaking.clauses import ClauseCutter
from thinker_server.speaking.voice import Voice

INDEX_NAME: Final = "index.json"
SOUNDS: Final = (".wav", ".flac")
NAME: Final = "Ann"
"""Who answers; the chat model is told."""
_SESSION: Final = "queries"
Sound = NDArray[np.int16]


@dataclass(frozen=True)
class Query:
    """One conversation: what the caller says in each turn, text or sound (N,) at 16 kHz."""

    name: str
    turns: tuple[str | Sound, ...]


@dataclass(frozen=True)
class Answered:
    """One line of the index. `outcome` as in TurnEnd; `file` is empty where nothing was said.

    `asked`: the question read aloud, s16 at 24 kHz; empty where nobody did.
    """

    query: str
    turn: int
    question: str
    answer: str
    outcome: Literal["completed", "interrupted", "empty", "failed"]
    file: str
    audio_tokens: int
    asked: str = ""


def read_queries(folder: Path) -> list[Query]:
    """All texts and sounds by name. Raises ValueError for none, or an unusable one."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".txt":
            lines = [line.strip() for line in path.read_text().splitlines()]
            found.append(Query(path.stem, tuple(line for line in lines if line)))
        elif path.suffix in SOUNDS:
            found.append(Query(path.stem, (_sound(path),)))
    if not found:
        raise ValueError(
            f"{folder} has no .txt, .wav or .flac file: write a turn on each line of one"
        )
    if len({query.name for query in found}) < len(found):
        raise ValueError(f"{folder} has two files of the same name: rename one of them")
    return found


def _sound(path: Path) -> Sound:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    heard = resample_poly(samples.mean(1), HEARING_HZ, rate)
    if len(heard) > MAX_WAITING_BLOCKS * HEARING_BLOCK_SAMPLES:
        raise ValueError(f"{path} lasts {len(heard) / HEARING_HZ:.0f} s: a turn may last a minute")
    sound: Sound = (np.clip(heard, -1, 1) * 32767).astype(np.int16)
    return sound


class Call:
    """The other side of a session: asks, and collects what is answered."""

    def __init__(self) -> None:
        self._ended: asyncio.Queue[TurnEnd] = asyncio.Queue()
        self._parts: list[HiddenChunk] = []
        self._words: list[str] = []
        self._question = ""

    async def send(self, destination: Destination, message: Message) -> None:
        """Where the session's messages go."""
        match message:
            case HiddenChunk():
                self._parts.append(message)
            case TextDelta():
                self._words.append(message.text)
            case Transcript(final=True):
                self._question = message.text
            case Failure():
                logging.getLogger(__name__).warning(message.message)
            case TurnEnd():
                await self._ended.put(message)

    async def ask(
        self, session: ThinkerSession[Any], query: Query, turn: int, folder: Path
    ) -> Answered:
        """One turn, until its answer is over."""
        said = query.turns[turn - 1]
        self._parts, self._words, self._question = [], [], said if isinstance(said, str) else ""
        for message in _messages(said, turn):
            session.receive(message)
            await asyncio.sleep(0)  # the session takes it, so that its inbox never fills
        end = await self._ended.get()
        file = f"{query.name}-{turn}.messages" if end.audio_tokens else ""
        if file:
            write_messages(folder / file, self._parts)
        answer = "".join(self._words).strip()
        return Answered(
            query.name, turn, self._question, answer, end.reason, file, end.audio_tokens
        )


def _messages(said: str | Sound, turn: int) -> Iterator[Message]:
    """What an agent would send for one turn."""
    if isinstance(said, str):
        yield UserText(session_id=_SESSION, epoch=turn, turn=turn, text=said)
        return
    yield TurnBoundary(session_id=_SESSION, epoch=turn - 1, phase="started", turn=turn)
    blocks = -(-len(said) // HEARING_BLOCK_SAMPLES)
    padded = np.pad(said, (0, blocks * HEARING_BLOCK_SAMPLES - len(said)))
    for number, block in enumerate(padded.reshape(blocks, HEARING_BLOCK_SAMPLES)):
        yield UserAudio(session_id=_SESSION, pts_us=number * BLOCK_US, pcm=block)
    yield TurnBoundary(session_id=_SESSION, epoch=turn, phase="ended", turn=turn)


async def converse(engine: Engine, query: Query, voice: str, folder: Path) -> list[Answered]:
    """Answer a whole conversation in a session of its own."""
    call = Call()
    opened = OpenThinkerSession(
        session_id=_SESSION,
        name=NAME,
        voice=voice,
        language="en",
        actor_endpoint="inproc://nobody",
    )
    session = await engine.open(opened, call.send)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        try:
            turns = range(1, len(query.turns) + 1)
            return [await call.ask(session, query, turn, folder) for turn in turns]
        finally:
            session.close()


async def answer_all(
    engine: Engine, queries: Sequence[Query], voice: str, folder: Path
) -> list[Answered]:
    """Answer one conversation after another; the engine is closed at the end."""
    try:
        return [line for query in queries for line in await converse(engine, query, voice, folder)]
    finally:
        await engine.close()


def read_aloud(answered: Sequence[Answered], voice: Voice, folder: Path) -> list[Answered]:
    """Have a voice read every question that has words."""
    lines = []
    for line in answered:
        if line.question:
            cutter = ClauseCutter(voice.first_clause_words)
            clauses = [*cutter.push(line.question), *cutter.finish()]
            pcm = np.concatenate([voiced(clause, voice).pcm for clause in clauses])
            line = replace(line, asked=f"{line.query}-{line.turn}.caller.flac")
            soundfile.write(folder / line.asked, pcm, SPEECH_HZ)
        lines.append(line)
    return lines


def write_index(folder: Path, voice: str, answered: Sequence[Answered]) -> None:
    """Write it last: a folder with an index is whole."""
    index = {"voice": voice, "answers": [asdict(line) for line in answered]}
    (folder / INDEX_NAME).write_text(json.dumps(index, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--queries", type=Path, required=True, help="folder of texts and sounds")
    parser.add_argument("--out", type=Path, required=True, help="folder for the messages")
    parser.add_argument("--voice", default="default", help="as in a call; default: the language's")
    parser.add_argument("--caller", help="a voice that reads the questions; default: nobody does")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    queries = read_queries(options.queries)
    options.out.mkdir(parents=True, exist_ok=True)
    # the states of any other brain would be masked by the Actor
    config = ThinkerConfig(brain="smollm2-135m")
    engine = load_engine(config)
    answered = asyncio.run(answer_all(engine, queries, options.voice, options.out))
    if options.caller:
        voices = VoiceCatalogue(config.assets_dir, config.cache_dir, config.voice_threads)
        answered = read_aloud(answered, voices.load(options.caller), options.out)
    write_index(options.out, options.voice, answered)


if __name__ == "__main__":
    main()
