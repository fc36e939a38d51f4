"""The caller of a training sequence: when they talk, and what the Actor hears of them.

Shapes: T audio tokens of features (T, 8, 80).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.source import Floats, HeardWindow
from actor_server.training.disguise import (
    SILENT_LEVEL,
    Disguise,
    add_levels,
    hissing,
    room_tone,
)
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import CHUNK_AUDIO_TOKENS

MUTED_CHANCE: Final = 0.15
"""A caller without a microphone, or one that is off while they do not talk."""
GATED_CHANCE: Final = 0.25
"""Noise suppression leaves digital silence between words."""
ROOM_LEVEL: Final = (-1.3, -0.5)
JITTER_TOKENS: Final = 1
"""A window holds what arrived since the chunk before: four tokens, give or take."""
PAUSE_TOKENS: Final = (2, 12)


class Speaker(Protocol):
    """Someone's recorded speech."""

    def features(self, dice: np.random.Generator) -> NDArray[np.floating]:
        """(T, 8, 80) of something that they said."""


@dataclass(frozen=True)
class Caller:
    """One person with one microphone through one sequence."""

    speaker: Speaker
    disguise: Disguise
    room: Floats | None
    """Mean levels (80,) of what the microphone hears in silence; None: nothing at all."""
    muted: bool

    @classmethod
    def draw(cls, speaker: Speaker, dice: np.random.Generator) -> "Caller":
        """Someone, somewhere."""
        gated = dice.random() < GATED_CHANCE
        room = None if gated else room_tone(dice, float(dice.uniform(*ROOM_LEVEL)))
        return cls(speaker, Disguise.draw(dice), room, bool(dice.random() < MUTED_CHANCE))

    def windows(self, talks: Sequence[bool], dice: np.random.Generator) -> list[HeardWindow]:
        """What is heard of them in each chunk; `talks` says in which chunks they have the word."""
        tokens = CHUNK_AUDIO_TOKENS * len(talks)
        sound = np.full((tokens, TOKEN_MEL_FRAMES, MEL_BINS), SILENT_LEVEL, np.float32)
        if self.room is not None:
            sound = np.maximum(hissing(self.room, sound.shape, dice), SILENT_LEVEL)
        for first, end in _runs(talks):
            span = slice(CHUNK_AUDIO_TOKENS * first, CHUNK_AUDIO_TOKENS * end)
            sound[span] = add_levels(sound[span], self._talk(span.stop - span.start, dice))
        jitter = dice.integers(-JITTER_TOKENS, JITTER_TOKENS + 1, len(talks) + 1)
        edges = np.clip(CHUNK_AUDIO_TOKENS * np.arange(len(talks) + 1) + jitter, 0, tokens)
        nothing = np.zeros((0, TOKEN_MEL_FRAMES, MEL_BINS), np.float32)
        return [
            HeardWindow(talk, nothing if self.muted and not talk else sound[begin:end])
            for talk, begin, end in zip(talks, edges, edges[1:], strict=False)
        ]

    def _talk(self, tokens: int, dice: np.random.Generator) -> Floats:
        """Speech with pauses, (T, 8, 80)."""
        talk = np.full((tokens, TOKEN_MEL_FRAMES, MEL_BINS), SILENT_LEVEL, np.float32)
        at = 0
        while at < tokens:
            said = self.disguise.worn(self.speaker.features(dice), dice)[: tokens - at]
            talk[at : at + len(said)] = said
            at += len(said) + int(dice.integers(*PAUSE_TOKENS))
        return talk


def _runs(talks: Sequence[bool]) -> list[tuple[int, int]]:
    """[first, end) of each stretch of talk."""
    padded = np.concatenate([[False], np.asarray(talks, np.bool_), [False]])
    edges = np.flatnonzero(np.diff(padded.astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]
