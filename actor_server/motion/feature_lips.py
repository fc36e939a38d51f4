"""Lips from log-mel features, for voices without phone times: ridge regressions fitted on GRID.

There is one regression for each number of frames that the listener is ahead, for the last frames
of a chunk know less of the future than the first. Loudness is taken relative to the voice's peak
and colour relative to its mean, both tracked, so that any voice drives the lips.

Shapes: F frames, B = 20 bands, I = B + 2 inputs per frame, K = 16 mouth coefficients.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Final

import numpy as np

from actor_server.motion.source import Floats
from proto.speech_features import MEL_BINS
from proto.time_law import FRAME_US

BANDS: Final = 20
HOPS_PER_FRAME: Final = FRAME_US // 10_000
PAST_FRAMES: Final = 5
FUTURE_FRAMES: Final = 4
SPEECH_RANGE: Final = 0.9
"""From silence to the peak of a voice, in units of the features (3.6 decades of power)."""
AUDIBLE: Final = 0.33
"""Share of the range from which colour counts in full."""
PEAK_PRIOR: Final = 0.46
PEAK_FALL: Final = 0.0005
"""Per frame: a voice that turns quiet is followed within seconds."""
COLOUR_FRAMES: Final = 100.0
"""Frames of voice after which half of the tracked colour is this voice's own."""


@dataclass
class VoiceLevel:
    """What was learned of a voice: its loudest level and its mean colour (B,)."""

    peak: float
    colour: Floats
    frames: float = COLOUR_FRAMES

    def hear(self, bands: Floats) -> None:
        """Follow the voice over frames of bands (F, B)."""
        for band in bands:
            loud = float(band.mean())
            self.peak = max(loud - 0.03, self.peak - PEAK_FALL, PEAK_PRIOR - 0.3)
            if loud > self.peak - 0.5 * SPEECH_RANGE:
                self.frames = min(self.frames + 1.0, 20 * COLOUR_FRAMES)
                self.colour = self.colour + (band - loud - self.colour) / self.frames


def frame_bands(features: Floats) -> Floats:
    """Mean bands (F, B) of hops (4 F, MEL_BINS)."""
    grouped = features.reshape(-1, HOPS_PER_FRAME, BANDS, MEL_BINS // BANDS)
    bands: Floats = grouped.mean((1, 3)).astype(np.float32)
    return bands


def loudness(bands: Floats, peak: float) -> Floats:
    """(F,) 0 silent, 1 the voice's peak."""
    share = (bands.mean(1) - peak + SPEECH_RANGE) / SPEECH_RANGE
    level: Floats = np.clip(share, 0.0, 1.2).astype(np.float32)
    return level


def frame_inputs(bands: Floats, peak: float, colour: Floats) -> Floats:
    """Inputs (F, I) of the regressions."""
    loud = loudness(bands, peak)[:, None]
    audible = np.clip(loud / AUDIBLE, 0.0, 1.0)
    shape = (bands - bands.mean(1, keepdims=True) - colour) * audible
    return np.concatenate([shape, loud, loud**2], axis=1).astype(np.float32)


@dataclass(frozen=True)
class FeatureLips:
    """`weights[h]` ((PAST + 1 + h) I + 1, K) for h known future frames; prior colour (B,)."""

    weights: tuple[Floats, ...]
    colour: Floats

    def voice(self) -> VoiceLevel:
        """A voice of which nothing is known yet."""
        return VoiceLevel(PEAK_PRIOR, self.colour.copy())

    def track(self, inputs: Floats, first: int, frames: int) -> Floats:
        """Mouths (F, K) of `frames` frames from row `first` of the inputs on.

        Rows before the inputs repeat the first one; rows after them are the future not known.
        """
        padded = np.concatenate([np.repeat(inputs[:1], PAST_FRAMES, axis=0), inputs])
        mouths = []
        for row in range(first, first + frames):
            ahead = min(FUTURE_FRAMES, len(inputs) - 1 - row)
            window = padded[row : row + PAST_FRAMES + 1 + ahead].ravel()
            weights = self.weights[ahead]
            mouths.append(window @ weights[:-1] + weights[-1])
        return np.stack(mouths)


@cache
def feature_lips() -> FeatureLips:
    """Load the packaged model."""
    resource = files("actor_server.motion") / "data" / "feature_lips.npz"
    with as_file(resource) as path, np.load(path) as archive:
        weights = tuple(
            archive[f"weights_{ahead}"].astype(np.float32) for ahead in range(FUTURE_FRAMES + 1)
        )
        return FeatureLips(weights, archive["colour"].astype(np.float32))
