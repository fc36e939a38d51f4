"""The procedural motion source: lips from what is said, the rest of the face from rules and dice.

It is the baseline of the diffusion Actor and its teacher. One chunk at a time, constant cost: the
state of a stream is a few hundred numbers, copied after each chunk so that a rollback is exact.
"""

import copy
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import (
    BREATH,
    BROWS,
    FURROW,
    GAZE,
    LATENT_DIM,
    LIDS,
    LOG_SCALE,
    MOUTH,
    POSE,
    POSE_LIMIT_RAD,
    REST,
    TRANSLATION,
)
from actor_server.motion.brows_breath import Breath, Brows
from actor_server.motion.cues import Cues
from actor_server.motion.dice import Dice
from actor_server.motion.eyes import Eyes
from actor_server.motion.feature_lips import feature_lips
from actor_server.motion.head import Head
from actor_server.motion.mouth import Mouth
from actor_server.motion.phone_lips import phone_lips
from actor_server.motion.source import (
    CHUNK_LATENTS,
    NEVER_SHOWN,
    ChunkForgotten,
    Condition,
    Floats,
    Visibility,
    WindowFull,
)
from actor_server.saving import Saving

REMEMBERED_CHUNKS: Final = 130
"""More than twice the credit that an agent can hold: 42 s, about 1 MB."""
NEAR_SIGHT: Final = Visibility(history_tokens=4, lookahead_tokens=0, state_width=0)
"""Phones are foreseen by rule, so nothing waits for speech after a chunk."""


@dataclass
class Performer:
    """Everything that a stream's next frame depends on."""

    mouth: Mouth
    cues: Cues
    head: Head
    eyes: Eyes
    brows: Brows
    breath: Breath

    @classmethod
    def cast(cls, seed: int) -> "Performer":
        """A performer at rest; each part of the face has dice of its own."""
        return cls(
            mouth=Mouth(),
            cues=Cues(),
            head=Head(Dice(4 * seed)),
            eyes=Eyes(Dice(4 * seed + 1)),
            brows=Brows(Dice(4 * seed + 2)),
            breath=Breath(Dice(4 * seed + 3)),
        )

    def play(self, condition: Condition) -> Floats:
        """The next chunk's motion relative to the portrait, CHUNK_LATENTS."""
        latents = np.zeros(CHUNK_LATENTS, np.float32)
        latents[:, MOUTH], latents[:, REST] = self.mouth.chunk(condition.speech)
        for latent, cue in zip(latents, self.cues.read(condition), strict=True):
            pose = self.head.step(cue)
            latent[POSE] = np.clip(pose[:3], *_POSE_RANGE)
            latent[TRANSLATION] = pose[3:5]
            latent[LOG_SCALE] = pose[5]
            latent[LIDS], latent[GAZE] = self.eyes.step(cue, pose)
            brows = self.brows.step(cue)
            latent[BROWS], latent[FURROW] = brows[:2], max(0.0, float(brows[2]))
            latent[BREATH] = self.breath.step(cue)
        return latents


_POSE_RANGE: Final = (
    -np.array(POSE_LIMIT_RAD, np.float32),
    np.array(POSE_LIMIT_RAD, np.float32),
)


@dataclass
class ProceduralStream:
    """A MotionStream with a window of one chunk. Nothing is cheaper, so it cannot be eased."""

    performer: Performer
    chunks: int = 0
    """Chunks made and not rolled back."""
    window: int = 1
    _offered: Condition | None = None
    _memory: deque[Performer] = field(default_factory=lambda: deque(maxlen=REMEMBERED_CHUNKS))
    """The state before each of the last chunks, and the present one last."""

    def __post_init__(self) -> None:
        self._memory.append(copy.deepcopy(self.performer))

    def offer(self, condition: Condition) -> None:
        """Take the next chunk's condition. Raises WindowFull when one is there already."""
        if self._offered is not None:
            raise WindowFull("a condition waits already: call next_chunk first")
        self._offered = condition

    def next_chunk(self) -> Floats | None:
        """The offered chunk's latents; None when nothing was offered."""
        if self._offered is None:
            return None
        condition, self._offered = self._offered, None
        latents = self.performer.play(condition)
        self.chunks += 1
        self._memory.append(copy.deepcopy(self.performer))
        return latents

    def flush(self, epoch: int) -> int:
        """Drop an offered condition of an older epoch."""
        if self._offered is None or self._offered.epoch >= epoch:
            return 0
        self._offered = None
        return 1

    def rollback(self, to_chunk: int) -> None:
        """Restore the state after chunk `to_chunk`. Raises ChunkForgotten."""
        self._offered = None
        undone = self.chunks - 1 - to_chunk
        if to_chunk < NEVER_SHOWN or not 0 <= undone < len(self._memory):
            raise ChunkForgotten(
                f"chunk {to_chunk} of {self.chunks} cannot be returned to; the last "
                f"{len(self._memory) - 1} chunks are remembered"
            )
        for _ in range(undone):
            self._memory.pop()
        self.performer = copy.deepcopy(self._memory[-1])
        self.chunks = to_chunk + 1

    def ease(self, saving: Saving) -> None:
        """There is no cheaper way."""

    def close(self) -> None:
        """It holds nothing of its source."""


class ProceduralMotion:
    """The MotionSource of this preset; its tables are loaded once per process."""

    label = "procedural"
    savings: tuple[Saving, ...] = ()

    def __init__(self, sight: Visibility = NEAR_SIGHT) -> None:
        self.sight = sight
        phone_lips()
        feature_lips()

    def open(self, reference: Floats, seed: int) -> ProceduralStream:
        """Begin at the portrait. Raises ValueError for another codec's latent."""
        if reference.shape != (LATENT_DIM,):
            raise ValueError(f"reference is {reference.shape}, this source moves ({LATENT_DIM},)")
        return ProceduralStream(Performer.cast(seed))
