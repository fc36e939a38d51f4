"""FVD: how far the videos of a system are from those of the truth, as a set.

Windows of 16 drawn frames go through a network that tells actions; a normal distribution is fitted
to its answers for each set, and the distance is that of the two distributions. The truth is the
recorded motion drawn by this decoder, half of its windows; every system, the truth itself among
them, is held against it with the other half, so that the truth's own distance is what the number
of windows alone makes.

Shapes: N windows, F frames, D = 400 answers.

Source: T. Unterthiner et al., "Towards accurate generative models of video: a new metric and
challenges", 2018 (arXiv 1812.01717).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from actor_server.codec.mesh.prepared import Image
from actor_server.evaluation.i3d import I3D, SIDE
from actor_server.evaluation.rendered import Avatar
from actor_server.evaluation.systems import Recorded, System
from actor_server.evaluation.takes import Take
from actor_server.motion.source import Floats

WINDOW_FRAMES: Final = 16
BATCH: Final = 4
SEED: Final = 2018

Features = NDArray[np.float64]


@dataclass(frozen=True)
class FrechetFigures:
    """The distance of a system's `windows` from as many of the truth's."""

    takes: str
    system: str
    windows: int
    distance: float


@dataclass(frozen=True)
class Window:
    """Sixteen frames of a take from `start` on, drawn on one of the avatars."""

    take: int
    start: int
    avatar: int


@dataclass(frozen=True)
class VideoFeatures:
    """Draws windows and asks the network; the same motion on the same face is asked once."""

    network: I3D
    avatars: tuple[Avatar, ...]
    device: str = "cpu"
    _known: dict[tuple[int, bytes], Features] = field(default_factory=dict)

    def of(self, label: str, latents: Sequence[Floats], windows: Sequence[Window]) -> Features:
        """(N, D) of windows of a performance, latents (F, 31) for each take."""
        moved = {self._key(latents, window): window for window in windows}
        missing = [item for item in moved.items() if item[0] not in self._known]
        firsts = range(0, len(missing), BATCH)
        for first in track(firsts, f"FVD of {label}", transient=True):
            batch = missing[first : first + BATCH]
            videos = torch.stack([self._draw(latents, window) for _, window in batch])
            for (key, _), answer in zip(batch, self._ask(videos), strict=True):
                self._known[key] = answer
        return np.stack([self._known[self._key(latents, window)] for window in windows])

    def _key(self, latents: Sequence[Floats], window: Window) -> tuple[int, bytes]:
        return window.avatar, _motion(latents, window).tobytes()

    def _draw(self, latents: Sequence[Floats], window: Window) -> Tensor:
        return as_video(self.avatars[window.avatar].draw(_motion(latents, window)))

    @torch.inference_mode()
    def _ask(self, videos: Tensor) -> Features:
        answers: Features = self.network(videos.to(self.device)).double().cpu().numpy()
        return answers


def frechet_figures(
    videos: VideoFeatures, takes: Sequence[Take], systems: Sequence[System], most: int
) -> Iterator[FrechetFigures]:
    """Each system on takes of recorded motion, with at most so many windows."""
    reference, tested = halves(takes, len(videos.avatars), most)
    truth = Recorded()
    wanted = videos.of(truth.label, truth.perform(takes), reference)
    for system in (truth, *systems):
        found = videos.of(system.label, system.perform(takes), tested)
        distance = frechet_distance(found, wanted)
        yield FrechetFigures(takes[0].source, system.label, len(tested), distance)


def halves(takes: Sequence[Take], avatars: int, most: int) -> tuple[list[Window], list[Window]]:
    """Windows that do not overlap on the same face, drawn by chance into two sets of one size."""
    every = [
        Window(number, start, avatar)
        for number, take in enumerate(takes)
        for start in range(0, take.frames - WINDOW_FRAMES + 1, WINDOW_FRAMES)
        for avatar in range(avatars)
    ]
    each = min(most, len(every) // 2)
    if each < 2:
        raise ValueError(f"{len(every)} windows of {WINDOW_FRAMES} frames are too few to compare")
    order = np.random.default_rng(SEED).permutation(len(every))
    return [every[at] for at in order[:each]], [every[at] for at in order[each : 2 * each]]


def frechet_distance(found: Features, wanted: Features) -> float:
    """Between the normal distributions of rows (N, D) and (M, D).

    |m - w|^2 + tr(F + W - 2 (F W)^(1/2)), where tr (F W)^(1/2) is the sum of the roots of the
    eigenvalues of W^(1/2) F W^(1/2), which is symmetric.
    """
    covariance, other = np.cov(found, rowvar=False), np.cov(wanted, rowvar=False)
    values, vectors = np.linalg.eigh(other)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance @ root), 0)).sum()
    between = ((found.mean(0) - wanted.mean(0)) ** 2).sum()
    return float(between + np.trace(covariance) + np.trace(other) - 2 * shared)


def as_video(pictures: Sequence[Image]) -> Tensor:
    """(3, F, 224, 224), -1..1, of frames (256, 256, 3)."""
    small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for one in pictures]
    return torch.from_numpy(np.stack(small)).permute(3, 0, 1, 2).float() / 127.5 - 1


def _motion(latents: Sequence[Floats], window: Window) -> Floats:
    return latents[window.take][window.start : window.start + WINDOW_FRAMES]
