"""Does a face that talks for an hour stay what it was in the first minute?

A system plays the held-out takes round after round as one unbroken stream. It is measured a minute
at a time and then forgotten, so an hour needs no more memory than a minute. Minutes of the same
takes are compared with each other: what one text moves more than another is no drift.

Shapes: F frames, D = 31 latent numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import GAZE, LATENT_DIM, LATENT_STD, portrait_latent
from actor_server.evaluation.audio_lip_judge import AudioLipJudge
from actor_server.evaluation.cells import at
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.liveliness import Clip, Liveliness, liveliness
from actor_server.evaluation.rendered import Avatar
from actor_server.evaluation.rendered_measures import Examiner, Looks
from actor_server.evaluation.repetition import repetition
from actor_server.evaluation.scoring import SyncFigures, sync_figures
from actor_server.evaluation.systems import Endless
from actor_server.evaluation.takes import Take, joined
from actor_server.motion.source import Floats
from proto.time_law import FRAMES_PER_SECOND
from reporting.trend import Trend, trend

CURVES: Final = {
    "yaw SD": "liveliness.yaw_sd",
    "pitch SD": "liveliness.pitch_sd",
    "roll SD": "liveliness.roll_sd",
    "head speed": "liveliness.head_speed",
    "head jerk": "liveliness.head_jerk",
    "head seam": "liveliness.head_seam",
    "repetition": "repetition",
    "lip jerk": "liveliness.lip_jerk",
    "lip seam": "liveliness.lip_seam",
    "blinks a minute": "liveliness.blinks_per_minute",
    "gaze SD": "gaze_sd",
    "brow SD": "liveliness.upper_face_sd",
    "lip opening SD": "gap_sd",
    "C*": "sync.confidence",
    "within 1 frame": "sync.near",
    "distance from the portrait": "distance",
    "distance of the mean": "mean_distance",
    "identity": "looks.identity",
    "CPBD": "looks.cpbd",
}
"""What is followed through the stream, and where it lies in a minute's figures."""
LOOK_EVERY: Final = 61
"""One frame in 2.4 s is drawn, in turn from all places in a chunk."""
_FRAMES_PER_MINUTE: Final = 60 * FRAMES_PER_SECOND


@dataclass(frozen=True)
class Minute:
    """About a minute of a stream that begins at `at_min`; the same `text`: the same takes.

    `distance`: root mean square distance of its latents from the portrait's, `mean_distance`: of
    their mean, both in units of LATENT_STD; `gap_sd`: of the lips' opening, eye distances;
    `gaze_sd`: mean of both directions, latent units; `repetition`: of the head's motion within this
    minute, 1: something came again; `looks`: of some frames, where they are drawn.
    """

    at_min: float
    text: int
    distance: float
    mean_distance: float
    gap_sd: float
    gaze_sd: float
    repetition: float | None
    liveliness: Liveliness
    sync: SyncFigures | None
    looks: Looks | None = None


@dataclass(frozen=True)
class Onlooker:
    """Draws some frames of a minute, and says what they look like."""

    avatar: Avatar
    examiner: Examiner

    def look(self, latents: Floats) -> Looks:
        """At latents (F, 31)."""
        return self.examiner.glance(self.avatar.draw(latents[::LOOK_EVERY]))


@dataclass(frozen=True)
class Drift:
    """One unbroken stream. Its last minute has the takes of the first."""

    system: str
    minutes: float
    curve: tuple[Minute, ...]

    @property
    def at_min(self) -> list[float]:
        """When each minute began."""
        return [minute.at_min for minute in self.curve]

    def values(self, name: str) -> list[float | None]:
        """One of CURVES, a value a minute."""
        return [at(minute, CURVES[name]) for minute in self.curve]

    def slope(self, name: str) -> Trend | None:
        """Its change per hour: a line through what differs between minutes of the same text.

        None where texts were not repeated often enough. That is a regression with a mean of its
        own for each text (Frisch and Waugh, Econometrica 1, 1933).
        """
        at_h, values = np.array(self.at_min) / 60, np.array(self.values(name), np.float64)
        texts = np.array([minute.text for minute in self.curve])
        same = [np.flatnonzero((texts == text) & np.isfinite(values)) for text in np.unique(texts)]
        same = [places for places in same if len(places) > 1]
        if not same:
            return None
        kept = np.sort(np.concatenate(same))
        middle, level = at_h[kept].mean(), values[kept].mean()
        for places in same:
            at_h[places] -= at_h[places].mean()
            values[places] -= values[places].mean()
        line = trend(at_h[kept].tolist(), values[kept].tolist(), fitted=1 + len(same))
        if line is None:
            return None
        return replace(line, at_start=float(level - line.per_hour * middle))


def drift(
    judge: AudioLipJudge,
    system: Endless,
    takes: Sequence[Take],
    minutes: float,
    onlooker: Onlooker | None = None,
) -> Drift:
    """Let a system perform takes without end, one after another, and measure minute by minute."""
    texts = by_minutes(takes)
    order = list(_rounds([_frames(text) for text in texts], minutes))
    chunks = system.stream(take for text in order for take in texts[text])
    wholes = [joined(text) for text in texts]
    curve: list[Minute] = []
    frames = 0
    for text in order:
        played = list(islice(chunks, len(wholes[text].conditions)))
        latents = np.concatenate(played).reshape(-1, LATENT_DIM)
        minute = _minute(judge, wholes[text], latents, frames / _FRAMES_PER_MINUTE, text)
        curve.append(replace(minute, looks=onlooker.look(latents)) if onlooker else minute)
        frames += len(latents)
    return Drift(system.label, frames / _FRAMES_PER_MINUTE, tuple(curve))


def by_minutes(takes: Sequence[Take]) -> list[list[Take]]:
    """Whole takes in groups of about a minute; too few for another minute join the last one."""
    groups: list[list[Take]] = [[]]
    for take in takes:
        if _frames(groups[-1]) >= _FRAMES_PER_MINUTE:
            groups.append([])
        groups[-1].append(take)
    if len(groups) > 1 and _frames(groups[-1]) < _FRAMES_PER_MINUTE / 2:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _rounds(lengths: Sequence[int], minutes: float) -> Iterator[int]:
    """Texts in turn for so many minutes, the first one at the end again."""
    left = minutes * _FRAMES_PER_MINUTE - lengths[0]
    for text in cycle(range(len(lengths))):
        if left <= 0:
            break
        yield text
        left -= lengths[text]
    yield 0


def _frames(takes: Sequence[Take]) -> int:
    return sum(take.frames for take in takes)


def _minute(judge: AudioLipJudge, take: Take, latents: Floats, at_min: float, text: int) -> Minute:
    lips = LipTrack.of_latents(latents)
    away = (latents - portrait_latent()) / LATENT_STD
    return Minute(
        at_min=at_min,
        text=text,
        distance=float(np.sqrt((away**2).mean())),
        mean_distance=float(np.sqrt((away.mean(0) ** 2).mean())),
        gap_sd=float(lips.gap.std()),
        gaze_sd=float(latents[:, GAZE].std(0).mean()),
        repetition=repetition(latents),
        liveliness=liveliness([Clip(latents, np.ones(latents.shape, np.bool_))]),
        sync=sync_figures(judge, [take], [lips]),
    )
