"""Sequences of the dataset as the evaluation sees them: conditions, the motion that came with them.

Shapes: K chunks, F = 8 K frames, V visible audio slots, A of them history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.latent import LATENT_DIM, MOUTH
from actor_server.evaluation.audio_lip_judge import Talk
from actor_server.evaluation.lip_track import LipTrack
from actor_server.motion.conditioning import (
    PHONE_BIN_US,
    PHONE_IDS,
    UNKNOWN_PHONE,
    ConditionArrays,
)
from actor_server.motion.phone_lips import SILENCE
from actor_server.motion.source import Floats
from actor_server.training.chunk_store import (
    CONDITION_FIELDS,
    SOURCES,
    DatasetIndex,
    Split,
    SplitName,
)
from proto.messages import Phone
from proto.speech_features import MEL_BINS
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_FRAMES, FRAMES_PER_SECOND

SILENT_LEVEL: Final = -1.5
"""Log-mel of digital silence: what an audio slot without speech sounds like."""
_SYMBOLS: Final = {number: symbol for symbol, number in PHONE_IDS.items()}


@dataclass(frozen=True)
class Take:
    """One sequence: what it is conditioned on chunk by chunk and the motion (F, 31) stored with it.

    trusted (F, 31): which of its numbers were measured or made well enough to learn from.
    """

    source: str
    latents: Floats
    trusted: NDArray[np.bool_]
    conditions: tuple[ConditionArrays, ...]
    history_tokens: int
    voice: str = ""
    """Whose the speech is, where it has a name."""

    @property
    def frames(self) -> int:
        return len(self.latents)

    @cached_property
    def hops(self) -> Floats:
        """Log-mel (4 F, 80) of the take's own speech, silence where there is none."""
        own = slice(self.history_tokens, self.history_tokens + CHUNK_AUDIO_TOKENS)
        audio = np.concatenate([chunk.audio[own] for chunk in self.conditions])
        seen = np.concatenate([chunk.audio_seen[own] for chunk in self.conditions])
        heard = np.where(seen[:, None], audio, SILENT_LEVEL)
        hops: Floats = heard.reshape(-1, MEL_BINS).astype(np.float32)
        return hops

    @cached_property
    def phones(self) -> tuple[Phone, ...]:
        """Its phones without silences, from its start, to the 20 ms that conditions know."""
        own = slice(self.history_tokens, self.history_tokens + CHUNK_AUDIO_TOKENS)
        bins = np.concatenate([chunk.phones[own].reshape(-1) for chunk in self.conditions])
        return tuple(phone for phone in phones_of_bins(bins) if phone.symbol != SILENCE)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Frames (F,) whose mouth is trusted."""
        return np.asarray(self.trusted[:, MOUTH].all(1), np.bool_)

    def cut(self, chunks: int, usable: NDArray[np.bool_]) -> "Take":
        """Its first chunks, trusted only where `usable` (at least 8 K,) is true as well."""
        frames = chunks * CHUNK_FRAMES
        return replace(
            self,
            latents=self.latents[:frames],
            trusted=self.trusted[:frames] & usable[:frames, None],
            conditions=self.conditions[:chunks],
        )

    def talk(self, lips: LipTrack) -> Talk:
        """The take's own sound with any lips of the same length, for the judge."""
        return Talk(self.hops, lips.points, self.usable)


def phones_of_bins(bins: NDArray[np.uint8]) -> list[Phone]:
    """Runs of the same id; a phone twice in a row counts as one. Unknown ones are left out."""
    phones, at_us = [], 0
    for number, run in groupby(bins.tolist()):
        end_us = at_us + PHONE_BIN_US * len(list(run))
        if number != UNKNOWN_PHONE:
            phones.append(Phone(symbol=_SYMBOLS[number], start_us=at_us, end_us=end_us))
        at_us = end_us
    return phones


def joined(takes: Sequence[Take]) -> Take:
    """One long take of several."""
    return Take(
        source="+".join(dict.fromkeys(take.source for take in takes)),
        latents=np.concatenate([take.latents for take in takes]),
        trusted=np.concatenate([take.trusted for take in takes]),
        conditions=tuple(chunk for take in takes for chunk in take.conditions),
        history_tokens=takes[0].history_tokens,
    )


def first_seconds(takes: Sequence[Take], seconds: float) -> list[Take]:
    """The first takes that fill so many seconds, two at least where there are two."""
    chosen: list[Take] = []
    for take in takes:
        filled = sum(one.frames for one in chosen) / FRAMES_PER_SECOND
        if len(chosen) >= 2 and filled >= seconds:
            break
        chosen.append(take)
    return chosen


def read_takes(folder: Path, split: SplitName) -> list[Take]:
    """Every sequence of a split of a built dataset, in memory."""
    history = DatasetIndex.read(folder).visibility.history_tokens
    opened = Split.open(folder, split)
    fields = opened.fields
    takes = []
    for (first, chunks, source), voice in zip(opened.sequences, opened.voices, strict=True):
        rows = slice(int(first), int(first + chunks))
        takes.append(
            Take(
                source=SOURCES[int(source)],
                latents=np.array(fields["latents"][rows]).reshape(-1, LATENT_DIM),
                trusted=np.array(fields["trusted"][rows]).reshape(-1, LATENT_DIM),
                conditions=tuple(_condition(fields, row) for row in range(rows.start, rows.stop)),
                history_tokens=history,
                voice=voice,
            )
        )
    return takes


def _condition(fields: Mapping[str, NDArray[Any]], row: int) -> ConditionArrays:
    """One chunk's condition out of the mapped arrays."""
    columns: dict[str, Any] = {name: np.array(fields[name][row]) for name in CONDITION_FIELDS}
    columns["kind"] = int(columns["kind"])
    return ConditionArrays(**columns)
