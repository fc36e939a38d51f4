"""Rows of the table: a system's performance of a set of takes, judged.

Shapes: F frames of a take, S shifts of the judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.evaluation.articulation import Articulation, articulation, by_voice
from actor_server.evaluation.audio_lip_judge import SHIFT, AudioLipJudge, compare
from actor_server.evaluation.lip_track import LipTrack
from actor_server.evaluation.listening import Listening, listening
from actor_server.evaluation.liveliness import Clip, Liveliness, liveliness
from actor_server.evaluation.rendered import Watcher
from actor_server.evaluation.rendered_measures import Examiner, RenderedFigures
from actor_server.evaluation.systems import System
from actor_server.evaluation.takes import Take
from actor_server.evaluation.upper_face import UpperFace, upper_face
from actor_server.motion.source import Floats
from proto.time_law import CHUNK_FRAMES

STRETCH_FRAMES: Final = 60
"""The judge speaks on stretches of 2.4 s: what is trusted of a clip of GRID."""
NEAR_FRAMES: Final = 1


@dataclass(frozen=True)
class SyncFigures:
    """What the judge says over all stretches.

    `confidence` C*, `distance` D* (at the best shift of each stretch), `unshifted` the distance as
    shown; `near`: share of stretches whose best shift is within one frame; `shifts`: how many
    stretches fit best at -15 .. 15 frames; `preferred`: share that fit this sound better, as shown,
    than the other one (own and mismatched), `margin` by how much, with its standard error.
    """

    stretches: int
    confidence: float
    distance: float
    unshifted: float
    near: float
    shifts: tuple[int, ...]
    preferred: float
    margin: float
    margin_error: float


@dataclass(frozen=True)
class Row:
    """One line of the table. `lips`: whether they come from latents or were found in pictures."""

    system: str
    takes: str
    lips: str
    sync: SyncFigures | None
    articulation: Articulation | None
    liveliness: Liveliness | None
    note: str = ""
    upper_face: UpperFace | None = None
    listening: Listening | None = None
    rendered: RenderedFigures | None = None
    by_voice: dict[str, Articulation] = field(default_factory=dict)


@dataclass(frozen=True)
class Performance:
    """A system's motion (F, 31) of each take."""

    label: str
    takes: tuple[Take, ...]
    latents: tuple[Floats, ...]
    note: str = ""

    @classmethod
    def of(cls, system: System, takes: Sequence[Take], note: str = "") -> "Performance":
        """Let a system perform. Raises ValueError when it does not fill the takes."""
        latents = system.perform(takes)
        for take, motion in zip(takes, latents, strict=True):
            if motion.shape != take.latents.shape:
                raise ValueError(
                    f"{system.label} made {motion.shape} for a take of {take.latents.shape}"
                )
        return cls(system.label, tuple(takes), tuple(latents), note)

    def shortened(self, takes: int) -> "Performance":
        """Its first takes."""
        return Performance(self.label, self.takes[:takes], self.latents[:takes], self.note)


def sync_figures(
    judge: AudioLipJudge,
    takes: Sequence[Take],
    tracks: Sequence[LipTrack],
    *,
    mismatched: bool = False,
) -> SyncFigures | None:
    """Judge lips against the takes' own sound, or against that of other stretches.

    None when no stretch could be judged.
    """
    readings = [
        judge.read(take.talk(track), STRETCH_FRAMES)
        for take, track in zip(takes, tracks, strict=True)
    ]
    found = [(reading, at) for reading in readings for at in reading.stretches]
    if not found:
        return None
    half = len(found) // 2
    others = found[half:] + found[:half]
    own = [compare(*mouth, *mouth) for mouth in found]
    wrong = [compare(*mouth, *voice) for mouth, voice in zip(found, others, strict=True)]
    words, against = (wrong, own) if mismatched else (own, wrong)
    margins = np.array([b.unshifted - a.unshifted for a, b in zip(words, against, strict=True)])
    shifts = np.array([word.shift for word in words])
    return SyncFigures(
        stretches=len(words),
        confidence=float(np.mean([word.confidence for word in words])),
        distance=float(np.mean([word.distance for word in words])),
        unshifted=float(np.mean([word.unshifted for word in words])),
        near=float(np.mean(np.abs(shifts) <= NEAR_FRAMES)),
        shifts=tuple(int(n) for n in np.bincount(shifts + SHIFT, minlength=2 * SHIFT + 1)),
        preferred=float(np.mean(margins > 0)),
        margin=float(margins.mean()),
        margin_error=float(margins.std() / np.sqrt(len(margins))),
    )


def row(judge: AudioLipJudge, done: Performance) -> Row:
    """Everything about a performance; lips are read from its latents."""
    tracks = [LipTrack.of_latents(latents) for latents in done.latents]
    clips = [
        Clip(latents, take.trusted if latents is take.latents else np.ones_like(take.trusted))
        for take, latents in zip(done.takes, done.latents, strict=True)
    ]
    return Row(
        system=done.label,
        takes=done.takes[0].source,
        lips="latents",
        sync=sync_figures(judge, done.takes, tracks),
        articulation=articulation(done.takes, tracks),
        liveliness=liveliness(clips),
        note=done.note,
        upper_face=upper_face(clips),
        listening=listening(done.takes, clips),
        by_voice=by_voice(done.takes, tracks),
    )


def mismatched_row(judge: AudioLipJudge, done: Performance) -> Row:
    """The same lips against other sound: what a judge gives for nothing."""
    tracks = [LipTrack.of_latents(latents) for latents in done.latents]
    return Row(
        system=f"{done.label}, mismatched audio",
        takes=done.takes[0].source,
        lips="latents",
        sync=sync_figures(judge, done.takes, tracks, mismatched=True),
        articulation=articulation(*mismatch(done.takes, tracks)),
        liveliness=None,
        note=done.note,
    )


def mismatch(
    takes: Sequence[Take], tracks: Sequence[LipTrack]
) -> tuple[list[Take], list[LipTrack]]:
    """Each take with the lips of the one before it, both cut to the shorter's whole chunks."""
    if len(takes) < 2:
        raise ValueError("two takes are needed to mismatch them")
    others = [*tracks[-1:], *tracks[:-1]]
    usable = [takes[-1].usable, *(take.usable for take in takes[:-1])]
    cut, lips = [], []
    for take, track, trusted in zip(takes, others, usable, strict=True):
        frames = min(take.frames, len(track.gap))
        cut.append(take.cut(frames // CHUNK_FRAMES, trusted))
        lips.append(LipTrack(track.points[:frames], track.gap[:frames]))
    return cut, lips


def seen_row(judge: AudioLipJudge, done: Performance, watcher: Watcher, examiner: Examiner) -> Row:
    """The same figures of lips that were found in drawn frames, and what else these tell."""
    sightings = [watcher.watch(latents) for latents in done.latents]
    takes = [
        take.cut(len(take.conditions), sighting.found)
        for take, sighting in zip(done.takes, sightings, strict=True)
    ]
    tracks = [watcher.lips(sighting) for sighting in sightings]
    return Row(
        system=done.label,
        takes=done.takes[0].source,
        lips=f"seen on {watcher.avatar.name}",
        sync=sync_figures(judge, takes, tracks),
        articulation=articulation(takes, tracks),
        liveliness=None,
        note=done.note,
        rendered=examiner.examine(sightings),
        by_voice=by_voice(takes, tracks),
    )
