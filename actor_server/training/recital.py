"""Replies that the Thinker recited (`python -m thinker_server.recite`), to be used as a call would.

One group of replies shares a voice and a pace, so that a call keeps its voice.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, cast

import numpy as np

from actor_server.training.chunk_store import SplitName
from proto.message_file import read_messages
from proto.messages import HiddenChunk

INDEX_NAME: Final = "index.json"
HELD_OUT_SHARE: Final = 0.1
HELD_OUT_FOLDER: Final = "held_out"


@dataclass(frozen=True)
class Reply:
    """One spoken answer on disk."""

    path: Path
    text: str
    voice: str
    pace: float
    audio_tokens: int

    @property
    def group(self) -> tuple[str, float]:
        """Replies of one group sound alike."""
        return self.voice, self.pace

    def parts(self) -> list[HiddenChunk]:
        """The messages that the Actor would receive."""
        return cast(list[HiddenChunk], read_messages(self.path))


@dataclass(frozen=True)
class Recital:
    """Replies by voice and pace; a group is drawn as often as its share of the speech."""

    groups: tuple[tuple[Reply, ...], ...]

    @classmethod
    def of(cls, replies: Sequence[Reply]) -> Self:
        """Group replies. Raises ValueError when there are none."""
        if not replies:
            raise ValueError("a recital without replies: recite more sentences")
        grouped: dict[tuple[str, float], list[Reply]] = defaultdict(list)
        for reply in replies:
            grouped[reply.group].append(reply)
        return cls(tuple(tuple(group) for _, group in sorted(grouped.items())))

    @property
    def audio_tokens(self) -> int:
        return sum(reply.audio_tokens for group in self.groups for reply in group)

    def cast(self, dice: np.random.Generator) -> tuple[Reply, ...]:
        """The replies of a random voice."""
        weights = np.array([sum(r.audio_tokens for r in group) for group in self.groups], float)
        return self.groups[int(dice.choice(len(self.groups), p=weights / weights.sum()))]


def read_recital(folder: Path, seed: int) -> dict[SplitName, Recital]:
    """The replies of a folder, split by sentence: no text is in both splits.

    Where `HELD_OUT_FOLDER` in it has more replies with held-out sentences, these are taken, too.
    """
    replies, more = _replies(folder), folder / HELD_OUT_FOLDER
    held_out = held_out_texts(folder, seed)
    unseen = replies + (_replies(more) if (more / INDEX_NAME).exists() else [])
    return {
        "train": Recital.of([reply for reply in replies if reply.text not in held_out]),
        "held_out": Recital.of([reply for reply in unseen if reply.text in held_out]),
    }


def held_out_texts(folder: Path, seed: int) -> set[str]:
    """Which of a folder's sentences are not for training."""
    texts = sorted({reply.text for reply in _replies(folder)})
    order = np.random.default_rng((seed, 10)).permutation(len(texts))
    return {texts[place] for place in order[: max(1, round(HELD_OUT_SHARE * len(texts)))]}


def _replies(folder: Path) -> list[Reply]:
    index = json.loads((folder / INDEX_NAME).read_text())
    return [
        Reply(folder / of["file"], of["text"], of["voice"], of["pace"], of["audio_tokens"])
        for of in index["replies"]
    ]
