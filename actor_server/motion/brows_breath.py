"""Brows that mark accents and follow the caller, and the breath."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.motion.cues import Cue
from actor_server.motion.dice import Dice
from actor_server.motion.source import Floats
from actor_server.motion.spring import FRAME_S, Spring

BROW_RATE: Final = 11.0
ACCENT_CHANCE: Final = 0.45
ACCENT_RAISE: Final = (0.35, 1.1)
MOOD_SD: Final = 0.16
MOOD_HOLD_S: Final = (1.5, 4.0)
LISTENING_RAISE: Final = 0.6
"""Brow raise while the caller is loud."""
INTONATION_RAISE: Final = 2.5
"""More of it for each octave that the caller speaks above their usual pitch, less below it."""
FURROW_LISTENING: Final = 0.10
BREATH_HZ: Final = 0.24
BREATH_RATE: Final = 4.0
SPEECH_BREATH_S: Final = 3.5
"""Speech breathes out for about this long; a pause breathes in."""


@dataclass
class Brows:
    """State of brows and furrow of one stream."""

    dice: Dice
    raised: Spring = field(default_factory=lambda: Spring.at(np.zeros(3, np.float32), BROW_RATE))
    mood: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    hold: int = 0
    accent: float = 0.0
    accent_left: int = 0
    loudness: float = 0.0
    pitch: float = 0.0

    def step(self, cue: Cue) -> Floats:
        """Right brow, left brow, furrow (3,) of the next frame."""
        self.hold -= 1
        if self.hold <= 0:
            self._feel()
        self.loudness += 0.15 * (cue.heard.loudness - self.loudness)
        self.pitch += 0.15 * (cue.heard.pitch - self.pitch)
        if cue.kind == "speaking" and cue.heard.accent > 0 and self.dice.chance(ACCENT_CHANCE):
            self.accent = cue.heard.accent * self.dice.uniform(*ACCENT_RAISE)
            self.accent_left = int(self.dice.uniform(6, 12))
        self.accent_left -= 1
        raise_ = self.accent if self.accent_left > 0 else 0.0
        furrow = 0.0
        if cue.kind == "listening":
            raise_ += LISTENING_RAISE * self.loudness + INTONATION_RAISE * self.pitch
            furrow = FURROW_LISTENING
        return self.raised.step(self.mood + np.array([raise_, raise_, furrow], np.float32))

    def _feel(self) -> None:
        both, side = self.dice.normal(0.05, MOOD_SD), self.dice.normal(0.0, 0.05)
        furrow = max(0.0, self.dice.normal(0.0, 0.12))
        self.mood = np.array([both + side, both - side, furrow], np.float32)
        self.hold = int(self.dice.uniform(*MOOD_HOLD_S) / FRAME_S)


@dataclass
class Breath:
    """State of the breath of one stream."""

    dice: Dice
    phase: float = 0.0
    lungs: Spring = field(default_factory=lambda: Spring.at(np.zeros(1, np.float32), BREATH_RATE))
    spoken_s: float = 0.0

    def step(self, cue: Cue) -> float:
        """Chest -1..1 of the next frame."""
        self.phase += 2 * np.pi * BREATH_HZ * FRAME_S * self.dice.uniform(0.7, 1.3)
        self.phase %= 2 * np.pi
        target = 0.7 * float(np.sin(self.phase))
        if cue.kind == "speaking":
            self.spoken_s += FRAME_S
            if cue.heard.phrase_ended or cue.turn_began:
                self.spoken_s = 0.0
            target = 0.8 - 1.4 * min(1.0, self.spoken_s / SPEECH_BREATH_S)
        else:
            self.spoken_s = 0.0
        return float(self.lungs.step(np.array([target], np.float32))[0])
