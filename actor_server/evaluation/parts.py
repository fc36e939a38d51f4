"""The parts of the evaluation, which know nothing of each other, and all of them together."""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import cv2
import torch

from actor_server.evaluation.actor_system import Actor, actors_in
from actor_server.evaluation.audio_lip_judge import COMPONENTS, REACH, SHIFT, AudioLipJudge
from actor_server.evaluation.diversity import Diversity
from actor_server.evaluation.drift import Drift
from actor_server.evaluation.evaluate import (
    Settings,
    Studio,
    drifts,
    evaluate,
    fit_judge,
    frechets,
    seed_diversities,
)
from actor_server.evaluation.frechet import FrechetFigures, VideoFeatures
from actor_server.evaluation.i3d import I3D, archive_in
from actor_server.evaluation.rendered import default_avatars
from actor_server.evaluation.report import Evaluation
from actor_server.evaluation.scoring import STRETCH_FRAMES, Row
from actor_server.evaluation.systems import Endless, Procedural
from actor_server.evaluation.takes import Take, read_takes
from actor_server.measured_on import commit, machine
from actor_server.training.chunk_store import DatasetIndex

AVATARS: Final = ("mara", "daniel")
PARTS: Final = 4
Part = TypeVar("Part")


@dataclass(frozen=True)
class Ready:
    """What every part of the evaluation begins with."""

    settings: Settings
    studio: Studio
    takes: tuple[Take, ...]
    actors: tuple[Actor, ...]
    device: str

    @classmethod
    def of(cls, chosen: argparse.Namespace) -> Self:
        """What the options name.

        Raises ValueError for an Actor that sees something else, FileNotFoundError for assets that
        any part will need: now, not when others have worked for long.
        """
        settings = Settings(
            chosen.seconds,
            chosen.seen_seconds,
            chosen.drift_minutes,
            chosen.fvd_windows,
            chosen.diversity_seeds,
        )
        actors = _actors(chosen)
        if settings.fvd_windows:
            archive_in(chosen.assets)
        judge = fit_judge(read_takes(chosen.data, "judge"))
        drawn = settings.seen_seconds > 0 or chosen.sheets is not None or settings.fvd_windows
        avatars = default_avatars(AVATARS, chosen.assets) if drawn else []
        studio = Studio(judge, tuple(avatars), chosen.assets, chosen.sheets)
        takes = tuple(read_takes(chosen.data, "held_out"))
        return cls(settings, studio, takes, tuple(actors), chosen.device)


def run(chosen: argparse.Namespace) -> Evaluation:
    """Evaluate what the options name, each part in a process of its own if there are several.

    Raises as `Ready.of` does.
    """
    ready = Ready.of(chosen)
    actors = {actor.label: actor.about for actor in ready.actors}
    about = _about(chosen.data, ready.studio.judge, ready.settings, actors)
    cv2.setNumThreads(1)
    if chosen.cores == 1:
        return Evaluation(
            about, _rows(ready), _drifts(ready), _frechets(ready), _diversities(ready)
        )
    processes = min(chosen.cores, PARTS)
    threads = max(1, chosen.cores // processes)
    with ProcessPoolExecutor(processes, get_context("spawn"), share_cores, (threads,)) as pool:
        frechets_ = pool.submit(_alone, _frechets, chosen)  # the longest first
        rows, drifts_ = pool.submit(_alone, _rows, chosen), pool.submit(_alone, _drifts, chosen)
        diversities = pool.submit(_alone, _diversities, chosen)
        return Evaluation(
            about, rows.result(), drifts_.result(), frechets_.result(), diversities.result()
        )


def share_cores(threads: int) -> None:
    """In a process of its own: more threads than cores in all would wait for each other."""
    cv2.setNumThreads(1)
    torch.set_num_threads(threads)


def _alone(part: Callable[[Ready], Part], chosen: argparse.Namespace) -> Part:
    return part(Ready.of(chosen))


def _frechets(ready: Ready) -> tuple[FrechetFigures, ...]:
    windows = ready.settings.fvd_windows
    if not windows:
        return ()
    network = I3D.load(ready.studio.assets, ready.device)
    videos = VideoFeatures(network, ready.studio.avatars, ready.device)
    return tuple(frechets(videos, ready.takes, ready.actors, windows))


def _rows(ready: Ready) -> tuple[Row, ...]:
    return tuple(evaluate(ready.studio, ready.takes, ready.actors, ready.settings))


def _drifts(ready: Ready) -> tuple[Drift, ...]:
    minutes = ready.settings.drift_minutes
    systems: list[Endless] = [Procedural(), *ready.actors] if minutes else []
    return tuple(drifts(ready.studio, ready.takes, systems, minutes))


def _diversities(ready: Ready) -> tuple[Diversity, ...]:
    seeds = ready.settings.diversity_seeds
    return tuple(seed_diversities(ready.studio, ready.takes, ready.actors, seeds))


def _actors(chosen: argparse.Namespace) -> list[Actor]:
    actors = actors_in(chosen.weights, chosen.ablations, chosen.steps, chosen.window)
    sight = DatasetIndex.read(chosen.data).visibility
    for actor in actors:
        if actor.model.geometry.sight != sight:
            raise ValueError(
                f"{actor.label} sees {actor.model.geometry.sight}, {chosen.data} was built for "
                f"{sight}: build the data again, or choose other weights"
            )
    return actors


def _about(
    data: Path, judge: AudioLipJudge, settings: Settings, actors: dict[str, Any]
) -> dict[str, Any]:
    index = DatasetIndex.read(data)
    return {
        "machine": machine(),
        "commit": commit(),
        "dataset": {"chunks": index.chunks, "recipe": index.recipe},
        "judge": {
            "correlations": judge.correlations.tolist(),
            "components": COMPONENTS,
            "window_frames": 2 * REACH + 1,
            "shifts_frames": SHIFT,
            "stretch_frames": STRETCH_FRAMES,
        },
        "settings": asdict(settings),
        "actors": actors,
    }
