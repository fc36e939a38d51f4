"""Does a system move in another way when it is asked again? The same takes with several seeds.

Shapes: S seeds, F frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.latent import BREATH, BROWS, FURROW, GAZE, POSE
from actor_server.codec.mesh.pose import Points
from actor_server.evaluation.lip_track import EYE_CORNERS, LipTrack
from actor_server.evaluation.rendered import Avatar
from actor_server.evaluation.systems import System
from actor_server.evaluation.takes import Take
from actor_server.motion.source import Floats
from proto.time_law import FRAMES_PER_SECOND

LANDMARKS_EVERY: Final = 5
"""Landmarks are placed in one frame of so many."""
_BROWS: Final = [*range(BROWS.start, BROWS.stop), FURROW]


class Seeded(System, Protocol):
    """A system whose performance depends on a seed, if it depends on anything."""

    def with_seed(self, seed: int) -> System:
        """The same system, thrown other dice."""


@dataclass(frozen=True)
class Diversity:
    """Mean distance between two performances of the same take in the same frame, over all pairs.

    `head`: of yaw, pitch and roll, degrees; `brows`, `gaze`: latent units; `gap`: of the lips'
    opening, eye distances; `landmarks`: mean over all 478, as the decoder places them in the
    picture, eye distances, None where there is no avatar.
    """

    takes: str
    system: str
    seeds: int
    minutes: float
    head: float
    brows: float
    gaze: float
    gap: float
    landmarks: float | None


def diversities(
    takes: Sequence[Take], systems: Sequence[Seeded], seeds: int, avatar: Avatar | None
) -> Iterator[Diversity]:
    """Let each system perform the takes with each of the seeds (two at least)."""
    if seeds < 2:
        raise ValueError(f"{seeds} seeds cannot be compared, at least two can")
    for system in systems:
        performed = [np.concatenate(system.with_seed(seed).perform(takes)) for seed in range(seeds)]
        yield diversity(system.label, takes, performed, avatar)


def diversity(
    label: str, takes: Sequence[Take], performed: Sequence[Floats], avatar: Avatar | None
) -> Diversity:
    """Compare performances (F, 31) of all takes one after another."""
    landmarks = None
    if avatar is not None:
        placed = [
            placed_landmarks(avatar, latents[::LANDMARKS_EVERY]).reshape(-1, 2)
            for latents in performed
        ]
        landmarks = mean_distance(placed)
    return Diversity(
        takes=takes[0].source,
        system=label,
        seeds=len(performed),
        minutes=len(performed[0]) / FRAMES_PER_SECOND / 60,
        head=mean_distance([np.degrees(latents[:, POSE]) for latents in performed]),
        brows=mean_distance([latents[:, _BROWS] for latents in performed]),
        gaze=mean_distance([latents[:, GAZE] for latents in performed]),
        gap=mean_distance([LipTrack.of_latents(latents).gap[:, None] for latents in performed]),
        landmarks=landmarks,
    )


def mean_distance(performed: Sequence[NDArray[np.floating]]) -> float:
    """Of rows (F, D) of each performance from the same rows of each other."""
    distances = [
        np.linalg.norm(one.astype(np.float64) - other, axis=1).mean()
        for one, other in combinations(performed, 2)
    ]
    return float(np.mean(distances))


def placed_landmarks(avatar: Avatar, latents: Floats) -> Points:
    """Where the decoder puts the landmarks (F, 478, 2), in eye distances of the still portrait."""
    portrait = avatar.decoder.portrait
    geometry = portrait.geometry
    right, left = (geometry.vertices[corner, :2] for corner in EYE_CORNERS)
    placed = [
        geometry.place(
            portrait.expression.apply(geometry.vertices, latent), latent, float(latent[BREATH])
        )[: topology.LANDMARKS, :2]
        for latent in latents
    ]
    points: Points = np.stack(placed) / np.linalg.norm(right - left)
    return points
