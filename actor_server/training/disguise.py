"""Other voices and rooms, made of the speech at hand on its log-mel features; the lips stay.

Vocal tracts are imitated by stretching the mel axis; noise and loudness are added as power, which
is what they do to the samples on average. Speed is not made here: speech is recited at several
paces, so that its phones and text slots are placed by the product's own rules.

Shapes: features (T, 8, 80) of T audio tokens, in the units of `proto.speech_features`.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.source import Floats
from proto.speech_features import FLOOR, MEL_BINS

VOCAL_TRACT: Final = (0.84, 1.16)
GAIN_DB: Final = (-9.0, 6.0)
UNITS_PER_DB: Final = 1 / 40
"""Features are log10 of power over four."""
HISS_CHANCE: Final = 0.5
HISS_LEVEL: Final = (-1.2, -0.2)
"""Mean noise in feature units; the peaks of a voice lie at about 0.4, so 24-64 dB below them."""
HISS_TILT: Final = 0.5
"""Units by which the noise may fall or rise from the lowest to the highest band."""
HISS_SHAPE: Final = 3.0
"""Of the gamma distribution of noise power in one band and frame: a band holds a few bins."""
SILENT_LEVEL: Final = -1.5


@dataclass(frozen=True)
class Disguise:
    """What one voice goes through: `tract` > 1 is a longer one; hiss (80,) mean levels or None."""

    tract: float = 1.0
    gain_db: float = 0.0
    hiss: Floats | None = None

    @classmethod
    def draw(cls, dice: np.random.Generator) -> Self:
        """A random voice in a random room."""
        hiss = None
        if dice.random() < HISS_CHANCE:
            hiss = room_tone(dice, float(dice.uniform(*HISS_LEVEL)))
        tract, gain_db = float(dice.uniform(*VOCAL_TRACT)), float(dice.uniform(*GAIN_DB))
        return cls(tract, gain_db, hiss)

    def worn(self, features: NDArray[np.floating], dice: np.random.Generator) -> Floats:
        """The features of the disguised voice, of the same shape."""
        changed = features.astype(np.float32)
        if self.tract != 1.0:
            changed = stretch_mel(changed, self.tract)
        changed = np.maximum(changed + self.gain_db * UNITS_PER_DB, SILENT_LEVEL)
        if self.hiss is not None:
            changed = add_levels(changed, hissing(self.hiss, changed.shape, dice))
        return changed.astype(np.float32)


def room_tone(dice: np.random.Generator, level: float) -> Floats:
    """Mean levels (80,) of a room's or microphone's noise."""
    slope = dice.uniform(-HISS_TILT, HISS_TILT / 2) * np.linspace(-0.5, 0.5, MEL_BINS)
    tone: Floats = (level + slope).astype(np.float32)
    return tone


def hissing(tone: Floats, shape: tuple[int, ...], dice: np.random.Generator) -> Floats:
    """Features of noise with mean levels `tone` (80,), random from frame to frame."""
    power = dice.gamma(HISS_SHAPE, 1 / HISS_SHAPE, shape)
    noise: Floats = (tone + np.log10(np.maximum(power, FLOOR)) / 4.0).astype(np.float32)
    return noise


def add_levels(one: Floats, other: Floats) -> Floats:
    """Features of two sounds at once: their powers add up."""
    mixed: Floats = np.logaddexp(one * 4 * np.log(10), other * 4 * np.log(10)) / (4 * np.log(10))
    return mixed


def stretch_mel(features: NDArray[np.floating], tract: float) -> Floats:
    """Features (..., 80) with the mel axis stretched by linear interpolation."""
    place = np.clip(np.arange(MEL_BINS) * tract, 0, MEL_BINS - 1)
    low = place.astype(np.int64)
    share = (place - low).astype(np.float32)
    high = np.minimum(low + 1, MEL_BINS - 1)
    stretched: Floats = features[..., low] * (1 - share) + features[..., high] * share
    return stretched
