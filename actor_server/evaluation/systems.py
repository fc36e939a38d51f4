"""What is judged: anything that turns the conditions of takes into motion.

Shapes: F frames of a take, D = 31.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, Protocol

import numpy as np

from actor_server.codec.mesh.latent import portrait_latent, speech_neutral_latent
from actor_server.evaluation.takes import Take, phones_of_bins
from actor_server.motion.conditioning import KINDS, ConditionArrays
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import (
    CHUNK_LATENTS,
    Condition,
    Floats,
    HeardWindow,
    MotionSource,
    SpeechWindow,
)
from proto.messages import Phone
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import AUDIO_TOKEN_US, CHUNK_AUDIO_TOKENS

TARGET: Final = "target (the teacher's)"
"""What the stored motion is called where the procedural teacher made it."""
SEED_STRIDE: Final = 100_000
"""Takes of a performance are thrown dice of its own seed and those after it."""


class System(Protocol):
    """Performs takes. It sees their conditions only; `Recorded` alone may look at their motion."""

    @property
    def label(self) -> str:
        """A name for people."""

    def perform(self, takes: Sequence[Take]) -> list[Floats]:
        """Motion (F, D) of each take."""


class Endless(Protocol):
    """Performs takes without end as one unbroken stream."""

    @property
    def label(self) -> str:
        """A name for people."""

    def stream(self, takes: Iterable[Take]) -> Iterator[Floats]:
        """Chunk after chunk, CHUNK_LATENTS, of take after take; keeps nothing that was played."""


@dataclass(frozen=True)
class Recorded:
    """The motion that came with the takes: the truth, or the teacher where it made them."""

    label: str = "ground truth"

    def perform(self, takes: Sequence[Take]) -> list[Floats]:
        return [take.latents for take in takes]

    def stream(self, takes: Iterable[Take]) -> Iterator[Floats]:
        for take in takes:
            yield from take.latents.reshape(-1, *CHUNK_LATENTS)


@dataclass(frozen=True)
class StaticFace:
    """A face that does not move, lips closed."""

    label: str = "static face"

    def perform(self, takes: Sequence[Take]) -> list[Floats]:
        return [np.tile(speech_neutral_latent(), (take.frames, 1)) for take in takes]

    def with_seed(self, seed: int) -> "StaticFace":
        """Itself: nothing is left to chance."""
        return self


@dataclass(frozen=True)
class Procedural:
    """The procedural teacher, given what the stored conditions say and nothing else."""

    label: str = "procedural teacher"
    source: MotionSource = field(default_factory=ProceduralMotion)
    seed: int = 0

    def perform(self, takes: Sequence[Take]) -> list[Floats]:
        return [self._play(take, self.seed + place) for place, take in enumerate(takes)]

    def with_seed(self, seed: int) -> "Procedural":
        return replace(self, seed=seed * SEED_STRIDE)

    def stream(self, takes: Iterable[Take]) -> Iterator[Floats]:
        return self._chunks(takes, self.seed)

    def _play(self, take: Take, seed: int) -> Floats:
        return np.concatenate(list(self._chunks([take], seed)))

    def _chunks(self, takes: Iterable[Take], seed: int) -> Iterator[Floats]:
        stream = self.source.open(portrait_latent(), seed)
        turns = 0
        for take in takes:
            for condition in conditions_of(take, turns):
                turns = condition.epoch
                stream.offer(condition)
                chunk = stream.next_chunk()
                assert chunk is not None  # its window is one chunk
                yield chunk


def conditions_of(take: Take, turns_before: int = 0) -> list[Condition]:
    """The stored arrays as conditions again; a run of speaking chunks is one turn.

    Phones lie on a grid of 20 ms; a chunk is told those that begin before its last visible slot
    ends. Texts are left out: nothing that takes conditions here reads them.
    """
    conditions = []
    turn = turns_before
    for kind, run in groupby(take.conditions, key=lambda chunk: KINDS[chunk.kind]):
        chunks = list(run)
        if kind != "speaking":
            conditions += [Condition(kind, epoch=turn, heard=_heard(chunk)) for chunk in chunks]
            continue
        turn += 1
        phones = _turn_phones(chunks, take.history_tokens)
        for number, chunk in enumerate(chunks):
            speech = _window(chunk, take.history_tokens, turn, number, len(chunks), phones)
            conditions.append(Condition(kind, epoch=turn, speech=speech, heard=_heard(chunk)))
    return conditions


def _turn_phones(chunks: Sequence[ConditionArrays], history: int) -> tuple[Phone, ...] | None:
    """All phones of a turn from its start; None for a voice that gives none."""
    own = slice(history, history + CHUNK_AUDIO_TOKENS)
    bins = np.concatenate([chunk.phones[own].reshape(-1) for chunk in chunks])
    return tuple(phones_of_bins(bins)) or None


def _window(
    chunk: ConditionArrays,
    history: int,
    turn: int,
    number: int,
    chunks: int,
    phones: tuple[Phone, ...] | None,
) -> SpeechWindow:
    first = number * CHUNK_AUDIO_TOKENS
    seen_until_us = (first + len(chunk.audio_seen) - history) * AUDIO_TOKEN_US
    own = chunk.audio_seen[history : history + CHUNK_AUDIO_TOKENS]
    known = None
    if phones is not None:
        known = tuple(phone for phone in phones if phone.start_us < seen_until_us)
    return SpeechWindow(
        turn=turn,
        first_token=first,
        audio_tokens=int(own.sum()),
        history_tokens=history,
        features=_features(chunk.audio),
        heard=chunk.audio_seen,
        phones=known,
        last=number == chunks - 1,
    )


def _heard(chunk: ConditionArrays) -> HeardWindow:
    return HeardWindow(bool(chunk.heard_seen.any()), _features(chunk.heard[chunk.heard_seen]))


def _features(rows: np.ndarray) -> Floats:
    """Rows (T, 640) as (T, 8, 80) float32."""
    features: Floats = rows.astype(np.float32).reshape(-1, TOKEN_MEL_FRAMES, MEL_BINS)
    return features
