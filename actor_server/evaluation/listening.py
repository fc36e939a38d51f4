"""Does the face listen? Nods at the caller's pauses, brows that follow the voice, eyes, rest.

The conditions hold what the ear of a call (`motion/cues.py`) made of the caller's voice, and say
when a phrase of theirs ended. What a face would do by chance is told beside what it does.

Shapes: F frames, K = F / CHUNK_FRAMES chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.latent import BROWS, PITCH, POSE
from actor_server.evaluation.liveliness import Clip, head_speed
from actor_server.evaluation.takes import Take
from actor_server.evaluation.upper_face import AWAY, off_caller
from actor_server.motion.conditioning import KINDS, ConditionArrays
from actor_server.motion.source import Floats
from proto.time_law import CHUNK_FRAMES, FRAMES_PER_SECOND

NOD_DEG: Final = 1.2
"""A head that goes down so far and comes up again has nodded."""
NOD_FRAMES: Final = FRAMES_PER_SECOND
"""A nod within a second belongs to the pause."""
FOLLOW_FRAMES: Final = FRAMES_PER_SECOND // 2
"""Loudness and brows are compared as means of half a second."""
FEWEST_PAUSES: Final = 5
_LISTENING: Final = KINDS.index("listening")


@dataclass(frozen=True)
class Listening:
    """Of all clips together; None where there is too little of it.

    `nods`: share of the caller's `pauses` with a nod within a second, `nods_by_chance`: the same of
    the other seconds of listening; `brows_follow`, `brows_follow_pitch`: correlation of brows with
    the caller's loudness, and with their pitch, what goes with loudness taken out; `contact`: share
    of the listening in which the eyes are on the caller; `*_speed`: of the head,
    deg/s.
    """

    pauses: int
    nods: float | None
    nods_by_chance: float | None
    brows_follow: float | None
    brows_follow_pitch: float | None
    contact: float | None
    idle_speed: float | None
    listening_speed: float | None
    speaking_speed: float | None


@dataclass(frozen=True)
class Caller:
    """A take's caller, where nobody else speaks: loudness (F,) 0-1, pitch (F,) in octaves above
    their usual one, where a phrase ended (F,), kind of each frame (F,)."""

    loudness: Floats
    pitch: Floats
    ended: NDArray[np.bool_]
    kinds: NDArray[np.int64]

    @classmethod
    def of(cls, conditions: Sequence[ConditionArrays]) -> "Caller":
        """What the conditions of a take let hear of them."""
        cues = np.concatenate([one.cues for one in conditions]).astype(np.float32)
        loudness, pitch, _, ended = cues.T
        kinds = np.repeat([one.kind for one in conditions], CHUNK_FRAMES)
        return cls(loudness, pitch, ended == 1, kinds)  # it fades after its own frame

    @property
    def listens(self) -> NDArray[np.bool_]:
        listens: NDArray[np.bool_] = self.kinds == _LISTENING
        return listens


Seen = Sequence[tuple[Caller, Floats]]


def listening(takes: Sequence[Take], clips: Sequence[Clip]) -> Listening | None:
    """Measure clips whose head, brows and gaze are trusted throughout; None without listening."""
    whole = [clip.trusted.all() for clip in clips]
    seen = [
        (Caller.of(take.conditions), clip.latents)
        for take, clip, trusted in zip(takes, clips, whole, strict=True)
        if trusted
    ]
    if not any(caller.listens.any() for caller, _ in seen):
        return None
    at_pauses, elsewhere = _nods(seen)
    contact = np.concatenate(
        [
            (np.linalg.norm(off_caller(latents), axis=1) <= AWAY)[caller.listens]
            for caller, latents in seen
        ]
    )
    with_loudness, with_pitch = _brows_follow(seen)
    speeds = {kind: _speed(seen, number) for number, kind in enumerate(KINDS)}
    enough = len(at_pauses) >= FEWEST_PAUSES
    return Listening(
        pauses=len(at_pauses),
        nods=float(np.mean(at_pauses)) if enough else None,
        nods_by_chance=float(np.mean(elsewhere)) if elsewhere else None,
        brows_follow=with_loudness,
        brows_follow_pitch=with_pitch,
        contact=float(contact.mean()),
        idle_speed=speeds["idle"],
        listening_speed=speeds["listening"],
        speaking_speed=speeds["speaking"],
    )


def _nods(seen: Seen) -> tuple[list[bool], list[bool]]:
    """Whether the head nods after each pause, and in the seconds of listening without one."""
    at_pauses, elsewhere = list[bool](), list[bool]()
    for caller, latents in seen:
        pauses = caller.ended & caller.listens
        at_pauses += [
            nods(latents[begin : begin + NOD_FRAMES])
            for begin in np.flatnonzero(pauses[: len(latents) - NOD_FRAMES])
        ]
        for begin in range(0, len(latents) - NOD_FRAMES, NOD_FRAMES):
            second = slice(begin, begin + NOD_FRAMES)
            before = slice(max(0, begin - NOD_FRAMES), begin + NOD_FRAMES)
            if caller.listens[second].all() and not pauses[before].any():
                elsewhere.append(nods(latents[second]))
    return at_pauses, elsewhere


def nods(latents: Floats) -> bool:
    """Whether the head of latents (F, 31) goes down and comes up by NOD_DEG."""
    down = np.degrees(latents[:, PITCH])
    before = np.minimum.accumulate(down)
    after = np.minimum.accumulate(down[::-1])[::-1]
    return bool((down - np.maximum(before, after)).max() >= NOD_DEG)


def _brows_follow(seen: Seen) -> tuple[float | None, float | None]:
    """Over all half seconds of listening: correlation of brows with loudness; with pitch, after
    the part that goes with loudness is taken out of both."""
    rows = []
    for caller, latents in seen:
        brows = latents[:, BROWS].mean(1)
        for begin in range(0, len(latents) - FOLLOW_FRAMES, FOLLOW_FRAMES):
            half = slice(begin, begin + FOLLOW_FRAMES)
            if caller.listens[half].all():
                rows.append([one[half].mean() for one in (brows, caller.loudness, caller.pitch)])
    table = np.array(rows, np.float64).reshape(-1, 3)
    if len(table) < FEWEST_PAUSES or table[:, :2].std(0).min() < 1e-6:
        return None, None
    with np.errstate(invalid="ignore"):
        table = np.asarray(np.corrcoef(table.T))
    with_loudness, with_pitch, of_both = table[0, 1], table[0, 2], table[1, 2]
    rest = (1 - with_loudness**2) * (1 - of_both**2)
    if not rest > 0:  # loudness explains all, or the pitch is always the same
        return float(with_loudness), None
    return float(with_loudness), float((with_pitch - with_loudness * of_both) / np.sqrt(rest))


def _speed(seen: Seen, kind: int) -> float | None:
    """Mean speed of the head between frames of one kind."""
    speeds = [
        head_speed(latents[:, POSE])[(caller.kinds[1:] == kind) & (caller.kinds[:-1] == kind)]
        for caller, latents in seen
    ]
    found = np.concatenate(speeds)
    return float(found.mean()) if len(found) else None
