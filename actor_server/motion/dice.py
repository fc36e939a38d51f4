"""Random numbers whose whole state is two integers, so that a rollback can restore them."""

import math
from dataclasses import dataclass
from typing import Final

_MASK: Final = (1 << 64) - 1


@dataclass
class Dice:
    """A stream of draws named by (seed, number of the draw). Source: splitmix64 (Steele 2014)."""

    seed: int
    draws: int = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A draw from [low, high)."""
        self.draws += 1
        x = (self.seed * 0x9E3779B97F4A7C15 + self.draws * 0xD1B54A32D192ED03) & _MASK
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
        return low + (high - low) * ((x ^ (x >> 31)) >> 11) / (1 << 53)

    def normal(self, mean: float = 0.0, deviation: float = 1.0, limit: float = 2.2) -> float:
        """A normal draw, kept within `limit` deviations: faces make no four-sigma moves."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        value = radius * math.cos(2.0 * math.pi * self.uniform())
        return mean + deviation * max(-limit, min(limit, value))

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability
