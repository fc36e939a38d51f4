"""The eyes: contact kept while the head turns, saccades, glances away, blinks.

Gaze units are those of the latent: x to the viewer's right, y down. Blinks are never smoothed.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.motion.cues import Cue
from actor_server.motion.dice import Dice
from actor_server.motion.source import Floats, Kind
from actor_server.motion.spring import FRAME_S

CONTACT_YAW: Final = 0.85
CONTACT_PITCH: Final = 0.7
"""Gaze units that hold the caller's eyes per radian of head turn."""
SACCADE_SHARE: Final = 0.65
"""Part of a saccade done in its first frame; eyes move within 80 ms."""
GLANCE_CHANCE: Final[dict[Kind, float]] = {"speaking": 0.34, "listening": 0.05, "idle": 0.14}
FIXATION_S: Final[dict[Kind, tuple[float, float]]] = {
    "speaking": (0.45, 1.8),
    "listening": (0.8, 2.6),
    "idle": (0.8, 3.0),
}
MICRO: Final = 0.028
BLINK: Final = (0.35, 0.88, 1.0, 0.8, 0.45, 0.15)
"""Closure frame by frame: down in 80 ms, up in 160 ms."""
BLINK_EVERY_S: Final = (2.2, 5.6)
BLINK_REFRACTORY_FRAMES: Final = 22
PHRASE_BLINK_CHANCE: Final = 0.4
TURN_BLINK_CHANCE: Final = 0.5
GLANCE_BLINK_CHANCE: Final = 0.3
DOUBLE_BLINK_CHANCE: Final = 0.07


@dataclass
class Eyes:
    """State of the eyes of one stream."""

    dice: Dice
    gaze: Floats = field(default_factory=lambda: np.zeros(2, np.float32))
    target: Floats = field(default_factory=lambda: np.zeros(2, np.float32))
    away: bool = False
    fixation: int = 20
    next_blink: int = 50
    since_blink: int = 0
    blink_at: int = len(BLINK)
    """Place in BLINK; its length: not blinking."""
    blink_depth: float = 1.0

    def step(self, cue: Cue, pose: Floats) -> tuple[Floats, Floats]:
        """Lids (2,) and gaze (2,) of the next frame, for the head's pose (6,)."""
        self.fixation -= 1
        if self.fixation <= 0:
            self._look(cue.kind)
        self.gaze = self.gaze + SACCADE_SHARE * (self.target - self.gaze)
        contact = np.array([CONTACT_YAW * pose[0], -CONTACT_PITCH * pose[1]], np.float32)
        gaze = (self.gaze + contact).astype(np.float32)
        closure = self._blink(cue)
        # the upper lid follows the eye down and up
        lids = np.full(2, max(closure, float(np.clip(0.35 * gaze[1], -0.06, 0.12))), np.float32)
        return lids, gaze

    def _look(self, kind: Kind) -> None:
        low, high = FIXATION_S[kind]
        if not self.away and self.dice.chance(GLANCE_CHANCE[kind]):
            self.away = True
            side = 1.0 if self.dice.chance(0.5) else -1.0
            size = self.dice.uniform(0.10, 0.26)
            self.target = np.array([side * size, self.dice.normal(0.0, 0.07)], np.float32)
            self.fixation = int(self.dice.uniform(0.35, 0.9) / FRAME_S)
            if self.dice.chance(GLANCE_BLINK_CHANCE):
                self._start_blink()
            return
        self.away = False
        self.target = np.array([self.dice.normal(0, MICRO), self.dice.normal(0, MICRO)], np.float32)
        self.fixation = int(self.dice.uniform(low, high) / FRAME_S)

    def _blink(self, cue: Cue) -> float:
        self.next_blink -= 1
        self.since_blink += 1
        wanted = self.next_blink <= 0
        wanted |= cue.heard.phrase_ended and self.dice.chance(PHRASE_BLINK_CHANCE)
        wanted |= cue.turn_began and self.dice.chance(TURN_BLINK_CHANCE)
        if wanted:
            self._start_blink()
        if self.blink_at >= len(BLINK):
            return 0.0
        closure = BLINK[self.blink_at] * self.blink_depth
        self.blink_at += 1
        return closure

    def _start_blink(self) -> None:
        if self.since_blink < BLINK_REFRACTORY_FRAMES:
            return
        self.blink_at, self.since_blink = 0, 0
        self.blink_depth = self.dice.uniform(0.9, 1.0)
        self.next_blink = int(self.dice.uniform(*BLINK_EVERY_S) / FRAME_S)
        if self.dice.chance(DOUBLE_BLINK_CHANCE):
            self.next_blink = BLINK_REFRACTORY_FRAMES
