"""Answers of the Thinker as the Actor gets them in a call: conditions for its motion, and sound.

`python -m thinker_server.answer_queries` writes them. The caller is not heard: before and after
each answer the face is idle.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.latent import LATENT_DIM
from actor_server.evaluation.takes import Take
from actor_server.motion.conditioning import ConditionReader
from actor_server.motion.source import Condition, Visibility
from actor_server.speech_queue import TurnSpeech, silent_pcm
from proto.message_file import read_messages
from proto.messages import HiddenChunk
from proto.time_law import CHUNK_FRAMES

SOURCE: Final = "queries"
INDEX_NAME: Final = "index.json"
IDLE_CHUNKS: Final = 4
"""1.3 s before each answer and after the last."""


@dataclass(frozen=True)
class Scene:
    """One conversation: a take without motion of its own, and what sounds in it, s16 at 24 kHz."""

    name: str
    take: Take
    pcm: NDArray[np.int16]


def read_scenes(folder: Path, sight: Visibility) -> list[Scene]:
    """Every conversation of a folder with an index. Raises ValueError where nothing was said."""
    index = json.loads((folder / INDEX_NAME).read_text())
    spoken = [line for line in index["answers"] if line["file"]]
    if not spoken:
        raise ValueError(f"no query of {folder} was answered: ask something else")
    return [
        scene(name, [_parts(folder, line) for line in lines], sight)
        for name, lines in groupby(spoken, key=lambda line: str(line["query"]))
    ]


def scene(name: str, answers: Sequence[Sequence[HiddenChunk]], sight: Visibility) -> Scene:
    """The answers of one conversation one after another, with an idle face between them."""
    chunks = [chunk for turn, parts in enumerate(answers, 1) for chunk in _turn(turn, parts, sight)]
    chunks += _idle(len(answers))
    reader = ConditionReader(sight)
    nothing = np.zeros((len(chunks) * CHUNK_FRAMES, LATENT_DIM), np.float32)
    take = Take(
        source=SOURCE,
        latents=nothing,
        trusted=np.ones(nothing.shape, np.bool_),
        conditions=tuple(reader.read(condition) for condition, _ in chunks),
        history_tokens=sight.history_tokens,
    )
    return Scene(name, take, np.concatenate([pcm for _, pcm in chunks]))


def _turn(
    turn: int, parts: Sequence[HiddenChunk], sight: Visibility
) -> Iterator[tuple[Condition, NDArray[np.int16]]]:
    yield from _idle(turn)
    speech = TurnSpeech(turn, sight.history_tokens, sight.lookahead_tokens)
    for part in parts:
        speech.extend(part)
    while not speech.finished:
        cut = speech.cut()
        yield Condition("speaking", epoch=turn, speech=cut.window), cut.pcm


def _idle(turn: int) -> list[tuple[Condition, NDArray[np.int16]]]:
    return [(Condition("idle", epoch=turn), silent_pcm())] * IDLE_CHUNKS


def _parts(folder: Path, line: dict[str, Any]) -> list[HiddenChunk]:
    return cast(list[HiddenChunk], read_messages(folder / line["file"]))
