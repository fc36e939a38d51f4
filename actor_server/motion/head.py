"""The head: posture that drifts and resettles, sway, nods on accents, nods at the caller's pauses.

Shapes: poses (6,) = yaw, pitch, roll in rad, tx, ty in face heights, log scale, as in the latent.
Targets of a talking head: SD 3.7 / 2.9 / 2.8 degrees, from public talking-head video.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.motion.cues import Cue
from actor_server.motion.dice import Dice
from actor_server.motion.source import Floats, Kind
from actor_server.motion.spring import FRAME_S, Spring

DEGREE: Final = np.pi / 180.0


@dataclass(frozen=True)
class Bearing:
    """How a head behaves in one state. `posture` (6,) is the SD of its targets."""

    posture: Floats
    hold_s: tuple[float, float]
    sway: float
    """Scale of the faster sway."""
    nod: float
    """Degrees of a full accent's nod."""


def _bearing(
    degrees: tuple[float, float, float],
    shift: tuple[float, float, float],
    hold_s: tuple[float, float],
    sway: float,
    nod: float,
) -> Bearing:
    posture = np.array([*(np.array(degrees) * DEGREE), *shift], np.float32)
    return Bearing(posture, hold_s, sway, nod)


BEARINGS: Final[dict[Kind, Bearing]] = {
    "speaking": _bearing((4.8, 4.0, 3.1), (0.016, 0.010, 0.008), (0.7, 2.2), 1.0, 3.2),
    "listening": _bearing((2.0, 1.4, 2.2), (0.010, 0.008, 0.010), (1.8, 4.5), 0.45, 0.0),
    "idle": _bearing((1.6, 1.0, 1.3), (0.007, 0.005, 0.005), (2.5, 6.0), 0.35, 0.0),
}
POSTURE_RATE: Final = 4.2
NOD_RATE: Final = 15.0
SWAY_HZ: Final = (0.31, 0.53, 0.87)
SWAY: Final = np.array([0.7, 0.5, 0.45, 0.12, 0.12, 0.0], np.float32) * np.float32(DEGREE)
MIX_RATE: Final = 3.0
"""How fast one bearing turns into another."""
CALLER_NOD_DEG: Final = 3.6
CALLER_NOD_CHANCE: Final = 0.75
LISTENING_LEAN: Final = np.array([0, 0.6 * DEGREE, 1.6 * DEGREE, 0, 0, 0.012], np.float32)
"""An attentive listener comes a little closer and tilts the head."""


@dataclass
class Head:
    """State of the head of one stream."""

    dice: Dice
    posture: Spring = field(
        default_factory=lambda: Spring.at(np.zeros(6, np.float32), POSTURE_RATE)
    )
    smooth: Spring = field(
        default_factory=lambda: Spring.at(np.zeros(6, np.float32), 2.5 * POSTURE_RATE)
    )
    nods: Spring = field(default_factory=lambda: Spring.at(np.zeros(6, np.float32), NOD_RATE))
    sway_gain: Spring = field(default_factory=lambda: Spring.at(np.zeros(1, np.float32), MIX_RATE))
    target: Floats = field(default_factory=lambda: np.zeros(6, np.float32))
    hold: int = 0
    kind: Kind = "idle"
    phases: Floats = field(default_factory=lambda: np.zeros((len(SWAY_HZ), 6), np.float32))
    pushes: list[tuple[int, Floats]] = field(default_factory=list)
    """Nods under way: (frames left, target)."""
    phases_drawn: bool = False

    def step(self, cue: Cue) -> Floats:
        """The pose (6,) of the next frame."""
        bearing = BEARINGS[cue.kind]
        if self.hold <= 0 or cue.kind != self.kind:
            self._settle(bearing, cue.kind)
        self.hold -= 1
        self.kind = cue.kind
        self._nod(cue, bearing)
        push = np.zeros(6, np.float32)
        for _, target in self.pushes:
            push = push + target
        self.pushes = [(left - 1, target) for left, target in self.pushes if left > 1]
        slow = self.smooth.step(self.posture.step(self.target))
        return slow + self.nods.step(push) + self._sway(bearing.sway)

    def _settle(self, bearing: Bearing, kind: Kind) -> None:
        """Choose where the head goes next."""
        draw = np.array([self.dice.normal() for _ in range(6)], np.float32)
        self.target = draw * bearing.posture
        # heads turn by tilting too, and shift to the side that they look to
        self.target[2] += 0.25 * self.target[0]
        self.target[3] -= 0.10 * self.target[0]
        if kind == "listening":
            side = 1.0 if self.dice.chance(0.5) else -1.0
            self.target += LISTENING_LEAN * np.array([1, 1, side, 1, 1, 1], np.float32)
        self.hold = int(self.dice.uniform(*bearing.hold_s) / FRAME_S)

    def _nod(self, cue: Cue, bearing: Bearing) -> None:
        if cue.kind == "speaking" and cue.heard.accent > 0 and bearing.nod > 0:
            size = bearing.nod * DEGREE * cue.heard.accent * self.dice.uniform(0.5, 1.2)
            side = self.dice.normal(0.0, 0.4)
            push = np.array([side, 1.0, 0.3 * side, 0, 0.08, 0], np.float32) * np.float32(size)
            self.pushes.append((int(self.dice.uniform(4, 7)), push))
        elif (
            cue.kind == "listening"
            and cue.heard.phrase_ended
            and self.dice.chance(CALLER_NOD_CHANCE)
        ):
            self._nod_at_pause()

    def _nod_at_pause(self) -> None:
        """One nod, or two, the second smaller: down, up, down."""
        size = np.float32(CALLER_NOD_DEG * DEGREE * self.dice.uniform(0.7, 1.2))
        down = np.array([0, size, 0, 0, 0.1 * size, 0], np.float32)
        self.pushes.append((6, down))
        if self.dice.chance(0.45):
            # a push that begins later: nothing first, then the smaller nod
            self.pushes.append((18, 0.45 * down))
            self.pushes.append((12, -0.45 * down))

    def _sway(self, gain: float) -> Floats:
        if not self.phases_drawn:
            draws = [self.dice.uniform(0, 2 * np.pi) for _ in range(self.phases.size)]
            self.phases = np.array(draws, np.float32).reshape(self.phases.shape)
            self.phases_drawn = True
        # each sine's pitch wanders, so that their sum never comes round again
        for row, hz in enumerate(SWAY_HZ):
            wander = self.dice.uniform(0.6, 1.4)
            self.phases[row] = (self.phases[row] + 2 * np.pi * hz * FRAME_S * wander) % (2 * np.pi)
        strength = self.sway_gain.step(np.array([gain], np.float32))
        weights = np.array([[1.0], [0.6], [0.35]], np.float32)
        waves: Floats = (weights * np.sin(self.phases)).sum(0)
        return strength * SWAY * waves
