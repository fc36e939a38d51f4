"""All rows of the table: systems perform the held-out takes and are judged."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actor_server.evaluation.audio_lip_judge import AudioLipJudge
from actor_server.evaluation.diversity import Diversity, Seeded, diversities
from actor_server.evaluation.drift import Drift, Onlooker, drift
from actor_server.evaluation.frechet import FrechetFigures, VideoFeatures, frechet_figures
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.rendered import Avatar, Watcher
from actor_server.evaluation.rendered_measures import Examiner
from actor_server.evaluation.scoring import Performance, Row, mismatched_row, row, seen_row
from actor_server.evaluation.sheets import write_sheets
from actor_server.evaluation.systems import (
    TARGET,
    Endless,
    Procedural,
    Recorded,
    StaticFace,
    System,
)
from actor_server.evaluation.takes import Take, first_seconds
from actor_server.training.chunk_store import SOURCES

TARGET_NOTE: Final = "the stored motion was made by the procedural teacher, not by a person"
SHEET_TAKES: Final = (0, 1)
DIVERSITY_SECONDS: Final = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How much is done. `seconds`: of takes per source, `seen_seconds`: of them drawn and looked
    at; `drift_minutes`: length of the unbroken stream, 0 for none; `fvd_windows`: for each system,
    0 for none; `diversity_seeds`: performances that are compared, 0 for none."""

    seconds: float
    seen_seconds: float
    drift_minutes: float
    fvd_windows: int = 0
    diversity_seeds: int = 0


@dataclass(frozen=True)
class Studio:
    """What performances are judged with. Without avatars nothing is drawn; else there are two."""

    judge: AudioLipJudge
    avatars: tuple[Avatar, ...] = ()
    assets: Path = Path()
    sheets: Path | None = None


def fit_judge(takes: Sequence[Take]) -> AudioLipJudge:
    """Fit the judge on takes of a real person, which no Actor learned from."""
    real = [take for take in takes if take.source == "grid"]
    return AudioLipJudge.fit([take.talk(LipTrack.of_latents(take.latents)) for take in real])


def evaluate(
    studio: Studio, takes: Sequence[Take], actors: Sequence[System], settings: Settings
) -> Iterator[Row]:
    """Judge every system on the takes of each source."""
    for source in SOURCES:
        chosen = first_seconds([take for take in takes if take.source == source], settings.seconds)
        if len(chosen) < 2:
            _log.warning("too few takes to evaluate", extra={"source": source})
            continue
        done = perform(source, chosen, actors)
        yield from _rows(studio, done, settings)
        if studio.sheets is not None:
            moving = [one for one in done if one.label != StaticFace.label]
            for take in SHEET_TAKES:
                write_sheets(studio.sheets, moving, studio.avatars, take)


def perform(source: str, takes: Sequence[Take], actors: Sequence[System]) -> list[Performance]:
    """Let all systems perform; the teacher only where it did not make the stored motion."""
    if source == "grid":
        done = [Performance.of(Recorded(), takes)]
    else:
        done = [Performance.of(Recorded(TARGET), takes, TARGET_NOTE)]
    done.append(Performance.of(StaticFace(), takes))
    if source == "grid":
        done.append(Performance.of(Procedural(), takes))
    return done + [Performance.of(actor, takes) for actor in actors]


def _rows(studio: Studio, done: Sequence[Performance], settings: Settings) -> Iterator[Row]:
    still = StaticFace.label
    for one in done:
        yield row(studio.judge, one)
        if one.label != still:
            yield mismatched_row(studio.judge, one)
    if not studio.avatars or settings.seen_seconds <= 0:
        return
    avatar, other, *_ = studio.avatars
    examiner = Examiner.open(avatar, other.portrait, studio.assets)
    watcher = Watcher.open(avatar, studio.assets)
    try:
        for one in done:
            short = one.shortened(len(first_seconds(one.takes, settings.seen_seconds)))
            yield seen_row(studio.judge, short, watcher, examiner)
    finally:
        watcher.close()


def drifts(
    studio: Studio, takes: Sequence[Take], systems: Sequence[Endless], minutes: float
) -> list[Drift]:
    """One unbroken stream of each system over spoken takes, or whatever there is."""
    spoken = [take for take in takes if take.source == "spoken"] or list(takes)
    onlooker = None
    if studio.avatars and systems:
        avatar, other, *_ = studio.avatars
        onlooker = Onlooker(avatar, Examiner.open(avatar, other.portrait, studio.assets))
    return [drift(studio.judge, system, spoken, minutes, onlooker) for system in systems]


def frechets(
    videos: VideoFeatures, takes: Sequence[Take], actors: Sequence[System], windows: int
) -> list[FrechetFigures]:
    """How far systems are from a real person's mouth, lids and gaze on a performed head."""
    real = [take for take in takes if take.source == "grid"]
    return list(frechet_figures(videos, real, [StaticFace(), Procedural(), *actors], windows))


def seed_diversities(
    studio: Studio, takes: Sequence[Take], actors: Sequence[Seeded], seeds: int
) -> Iterator[Diversity]:
    """The first minute of each source, performed with so many seeds; with none, nothing."""
    if not seeds:
        return
    avatar = studio.avatars[0] if studio.avatars else None
    for source in SOURCES:
        own = [take for take in takes if take.source == source]
        if chosen := first_seconds(own, DIVERSITY_SECONDS):
            yield from diversities(chosen, [StaticFace(), Procedural(), *actors], seeds, avatar)
