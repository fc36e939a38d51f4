"""Does a face that talks for minutes stay what it was in the first?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from actor_server.codec.mesh.latent import LATENT_STD
from actor_server.evaluation.audio_lip_judge import AudioLipJudge
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.liveliness import Clip, Liveliness, liveliness
from actor_server.evaluation.scoring import SyncFigures, sync_figures
from actor_server.evaluation.systems import System
from actor_server.evaluation.takes import Take, joined
from proto.time_law import CHUNK_FRAMES, CHUNK_US

CHUNKS_PER_MINUTE = 60_000_000 / CHUNK_US


@dataclass(frozen=True)
class Minute:
    """One minute of a stream. `level`: root mean square of the latents in units of LATENT_STD;
    `gap_sd`: of the lips' opening, eye distances."""

    level: float
    gap_sd: float
    liveliness: Liveliness
    sync: SyncFigures | None


@dataclass(frozen=True)
class Drift:
    """First and last minute of one unbroken stream."""

    system: str
    minutes: float
    first: Minute
    last: Minute


def drift(judge: AudioLipJudge, system: System, takes: Sequence[Take], minutes: float) -> Drift:
    """Let a system perform takes without end, one after another, and compare the ends.

    Both ends are about a minute of whole takes, the same ones.
    """
    opening = _fill(takes, CHUNKS_PER_MINUTE)
    middle = _fill(takes, max(0.0, (minutes - 2) * CHUNKS_PER_MINUTE))
    stream = joined([*opening, *middle, *opening])
    (latents,) = system.perform([stream])
    edge = sum(take.frames for take in opening)
    first, last = slice(0, edge), slice(len(latents) - edge, len(latents))
    minute = joined(opening)
    return Drift(
        system.label,
        len(latents) / CHUNK_FRAMES / CHUNKS_PER_MINUTE,
        _minute(judge, minute, latents[first]),
        _minute(judge, minute, latents[last]),
    )


def _fill(takes: Sequence[Take], chunks: float) -> list[Take]:
    """Takes in turn until there are so many chunks."""
    filled: list[Take] = []
    for take in cycle(takes):
        if sum(len(t.conditions) for t in filled) >= chunks:
            return filled
        filled.append(take)
    return filled


def _minute(judge: AudioLipJudge, take: Take, latents: np.ndarray) -> Minute:
    lips = LipTrack.of_latents(latents)
    return Minute(
        level=float(np.sqrt(((latents / LATENT_STD) ** 2).mean())),
        gap_sd=float(lips.gap.std()),
        liveliness=liveliness([Clip(latents, np.ones(latents.shape, np.bool_))]),
        sync=sync_figures(judge, [take], [lips]),
    )
