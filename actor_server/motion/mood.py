"""Moods: expressions and a direction of the head, laid over the motion of any source of mesh faces.

By rule, not learned: the transformer was never trained with moods, and what it makes is not
changed, only added to. Each mood is a fixed offset of brows, lids and lips whose strength follows
a spring; lips that meet still meet, eyes that close still close, and a turned head moves less by
what the turn takes of its range.

Shapes: C = CHUNK_FRAMES, a mood as numbers (5,): strength of warm, serious and surprised 0-1, yaw
and pitch in radians.
"""

import copy
from collections import deque
from functools import cache
from typing import Final

import numpy as np

from actor_server.codec.mesh import topology
from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.latent import (
    BROWS,
    FURROW,
    LATENT_DIM,
    LIDS,
    MOUTH,
    MOUTH_DIM,
    PITCH,
    POSE_LIMIT_RAD,
    YAW,
)
from actor_server.codec.mesh.shaping import index
from actor_server.motion.limits import within_limits
from actor_server.motion.procedural import REMEMBERED_CHUNKS
from actor_server.motion.source import (
    ChunkForgotten,
    Condition,
    Floats,
    MotionSource,
    MotionStream,
)
from actor_server.motion.spring import Spring
from actor_server.saving import Saving
from proto.messages import Mood
from proto.time_law import AUDIO_TOKEN_US, FRAME_US

EXPRESSIONS: Final = ("warm", "serious", "surprised")
MOOD_NUMBERS: Final = len(EXPRESSIONS) + 2
RISE: Final = 9.75
"""rad/s: nine tenths of a mood are there after 0.4 s."""
FADE: Final = 4.0
"""A face becomes neutral in 1 s: what vanishes faster was not meant."""
SETTLED: Final = 1e-3
"""So near its goal a mood has reached it: a face at rest is again exactly what its source made."""
GAP_EMPHASIS: Final = 4.0
EFFORT: Final = 3e-5
"""How much a shape of the lips may cost: coefficients of 2 to 5 standard deviations in all."""
PRESSED: Final = 0.005
"""Inter-iris distances."""
TURNED: Final = slice(len(EXPRESSIONS), MOOD_NUMBERS)
TURN: Final = [YAW, PITCH]
FRAMES_PER_TOKEN: Final = AUDIO_TOKEN_US // FRAME_US


@cache
def offsets() -> Floats:
    """What each expression adds to a latent at full strength, (3, LATENT_DIM); lids apart."""
    added = np.zeros((len(EXPRESSIONS), LATENT_DIM), np.float32)
    warm, serious, surprised = added
    warm[MOUTH] = _lips(corners=0.07, width=0.07)
    warm[BROWS] = 0.15
    serious[MOUTH] = _lips(corners=-0.045, width=-0.02)
    serious[BROWS] = -0.5
    serious[FURROW] = 0.9
    surprised[BROWS] = 1.0
    added.setflags(write=False)
    return added


LID_OFFSETS: Final[Floats] = np.array([0.08, 0.05, -0.28], np.float32)
"""Closure that each expression adds to an open eye; to a closed one it adds nothing."""


def _lips(corners: float, width: float) -> Floats:
    """Mouth coefficients (16,) that move the corners, inter-iris distances, and open no lips.

    Least squares: the upper lip stays, and the eleven points where the lips meet stay together;
    then the lips are pressed a little, for a part of a pixel already shows a grain of teeth.
    """
    basis = mouth_basis()
    lower, upper = (index(lip) for lip in (topology.LIP_INNER_LOWER, topology.LIP_INNER_UPPER))
    gaps = (basis.displacements[:, lower] - basis.displacements[:, upper]).reshape(MOUTH_DIM, -1).T
    goals = {"corners": corners, "width": width, "upper": 0.0, "asymmetry": 0.0}
    rows = np.stack([*(basis.features[name] for name in goals), *(GAP_EMPHASIS * gaps)])
    wanted = np.array([*goals.values(), *np.zeros(len(gaps))])
    mouth = np.linalg.solve(rows.T @ rows + EFFORT * np.eye(MOUTH_DIM), rows.T @ wanted)
    gap = basis.features["gap"]
    closed: Floats = (mouth - PRESSED * gap / (gap @ gap)).astype(np.float32)
    return closed


def mood_numbers(mood: Mood) -> Floats:
    """A mood as numbers (5,); what it leaves open is neutral and straight ahead."""
    numbers = np.zeros(MOOD_NUMBERS, np.float32)
    if mood.expression in EXPRESSIONS:
        numbers[EXPRESSIONS.index(mood.expression)] = mood.strength
    numbers[TURNED] = np.radians([mood.yaw_deg or 0.0, mood.pitch_deg or 0.0])
    return numbers


def in_mood(latents: Floats, felt: Floats) -> Floats:
    """Latents (C, LATENT_DIM) in moods (C, 5), one for each frame; without any, the very same."""
    if not felt.any():
        return latents
    strengths, turn = np.clip(felt[:, : len(EXPRESSIONS)], 0.0, 1.0), felt[:, TURNED]
    shown = latents + strengths @ offsets()
    shown[:, LIDS] += (strengths @ LID_OFFSETS)[:, None] * (1.0 - latents[:, LIDS])
    taken = np.abs(turn) / np.array(POSE_LIMIT_RAD, np.float32)[TURN]
    shown[:, TURN] = latents[:, TURN] * (1.0 - taken) + turn
    return within_limits(shown)


class MoodStream:
    """A MotionStream whose chunks are those of another, in the moods of their conditions."""

    def __init__(self, moving: MotionStream) -> None:
        self._moving = moving
        self._offered: deque[tuple[int, tuple[Mood, ...]]] = deque()
        """Epochs and moods of the chunks that were not given out."""
        self._felt = Spring.at(np.zeros(MOOD_NUMBERS, np.float32), RISE)
        self._chunks = 0
        self._past: deque[Spring] = deque([copy.copy(self._felt)], maxlen=REMEMBERED_CHUNKS)
        """After each chunk."""

    @property
    def window(self) -> int:
        """As many as the source takes."""
        return self._moving.window

    def offer(self, condition: Condition) -> None:
        """Add the next chunk's condition. Raises WindowFull."""
        self._moving.offer(condition)
        self._offered.append((condition.epoch, condition.moods))

    def next_chunk(self) -> Floats | None:
        """One pass of the source; what it made, in its mood."""
        made = self._moving.next_chunk()
        if made is None:
            return None
        _, moods = self._offered.popleft()
        felt = [self._feel(mood_numbers(mood)) for mood in moods for _ in range(FRAMES_PER_TOKEN)]
        self._chunks += 1
        self._past.append(copy.copy(self._felt))
        return in_mood(made, np.stack(felt))

    def _feel(self, wanted: Floats) -> Floats:
        """The mood of the next frame on the way to the one that is wanted, (5,)."""
        felt = self._felt
        felt.rate = RISE if wanted.any() else FADE
        felt.step(wanted)
        if max(np.abs(felt.place - wanted).max(), np.abs(felt.speed).max() / felt.rate) < SETTLED:
            felt.place, felt.speed = wanted, np.zeros_like(wanted)
        return felt.place

    def flush(self, epoch: int) -> int:
        """Drop offered conditions older than `epoch`; how many."""
        self._offered = deque(offered for offered in self._offered if offered[0] >= epoch)
        return self._moving.flush(epoch)

    def rollback(self, to_chunk: int) -> None:
        """Go back to the state after chunk `to_chunk`. Raises ChunkForgotten."""
        undone = self._chunks - 1 - to_chunk
        if not 0 <= undone < len(self._past):
            raise ChunkForgotten(
                f"chunk {to_chunk} of {self._chunks} cannot be returned to; the last "
                f"{len(self._past) - 1} chunks are remembered"
            )
        self._moving.rollback(to_chunk)
        for _ in range(undone):
            self._past.pop()
        self._offered.clear()
        self._chunks = to_chunk + 1
        self._felt = copy.copy(self._past[-1])

    def ease(self, saving: Saving) -> None:
        """Moods cost nothing to speak of."""
        self._moving.ease(saving)

    def close(self) -> None:
        """Close the source's stream."""
        self._moving.close()


class MoodMotion:
    """Streams of `moving` that can be in a mood."""

    def __init__(self, moving: MotionSource) -> None:
        self.label = moving.label
        self.sight = moving.sight
        self.savings = moving.savings
        self._moving = moving
        offsets()

    def open(self, reference: Floats, seed: int) -> MoodStream:
        """Begin a call at the portrait's latent (LATENT_DIM,)."""
        return MoodStream(self._moving.open(reference, seed))
