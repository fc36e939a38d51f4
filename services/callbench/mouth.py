"""When the mouth moved, and how far the picture runs from the sound.

Dimension letters: F frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.callbench.lips import lip_motion, mouth_contrast
from services.callbench.recording import Frames
from services.callbench.waveform import (
    ENVELOPE_HOP_S,
    FLOAT,
    Span,
    Waveform,
    envelope,
)

# Key frames of the video codec change every pixel a little, once in a while: one frame is no proof.
MOVING_FRAMES = 2
LIPS_GAP_S = 0.2
# Above what still frames show: their 95th percentile with a margin. Nods and codec noise reach 2.
STILL_PERCENTILE = 95
STILL_MARGIN = 1.5
LEAST_THRESHOLD = 2.5
LARGEST_LAG_S = 0.4
LEAST_SPEECH_S = 1.0
MARGIN_S = 0.2
QUIET_RMS = 1e-3
SMOOTHING = np.hanning(9) / np.hanning(9).sum()


@dataclass(frozen=True)
class Mouth:
    """The mouth in every frame. `threshold` parts moving from still.

    Shapes: at_s, motion, openness (F,).
    """

    at_s: NDArray[np.float64]
    motion: FLOAT
    openness: FLOAT
    threshold: float

    def moving_spans(self) -> list[Span]:
        """Return when the lips moved."""
        over = self.motion > self.threshold
        spans = []
        for first, last in _runs(over):
            if last - first >= MOVING_FRAMES:
                # The change was seen in the first moving frame: it happened when that was shown.
                spans.append(Span(float(self.at_s[first]), float(self.at_s[last - 1])))
        return _joined(spans)

    def share_moving(self, spans: list[Span]) -> float:
        """Return the share of frames inside the spans whose lips moved."""
        inside = frames_in(self.at_s, spans)
        return float(np.mean(self.motion[inside] > self.threshold)) if inside.any() else 0.0

    def typical(self, spans: list[Span]) -> float:
        """Return the root mean square of lip motion inside the spans, grey levels."""
        inside = frames_in(self.at_s, spans)
        return float(np.sqrt(np.mean(self.motion[inside] ** 2))) if inside.any() else 0.0


def watch_mouth(frames: Frames, silent: list[Span]) -> Mouth:
    """Measure lip motion; what frames show in the silent spans is the stillness to compare with."""
    motion = lip_motion(frames.crops)
    inside = frames_in(frames.at_s, silent)
    still = motion[inside] if inside.sum() >= 10 else motion
    noise = float(np.percentile(still, STILL_PERCENTILE))
    threshold = max(LEAST_THRESHOLD, STILL_MARGIN * noise)
    return Mouth(frames.at_s, motion, mouth_contrast(frames.crops), threshold)


def lips_lag_ms(mouth: Mouth, sound: Waveform, speaking: list[Span]) -> tuple[float, float]:
    """Return by how much the picture is late against the sound, and the correlation at that lag.

    Vowels are loud and open, closures and pauses are quiet: openness is compared with loudness,
    shifted until they agree best. A natural speaker's lips lead the sound by some 10 ms.
    """
    spans = [span for span in speaking if span.end_s - span.start_s > LEAST_SPEECH_S]
    if not spans or not len(mouth.at_s):
        return float("nan"), 0.0
    steps = round(LARGEST_LAG_S / ENVELOPE_HOP_S)
    lags_s = np.arange(-steps, steps + 1, dtype=np.float64) * ENVELOPE_HOP_S
    lengths_s = np.array([span.end_s - span.start_s for span in spans])
    agreement = np.array(
        [_agreement(mouth, sound, span, lags_s) for span in spans]
    )  # (spans, lags)
    scores = lengths_s @ agreement / lengths_s.sum()
    best = int(np.argmax(scores))
    if best in (0, len(scores) - 1):
        return float("nan"), 0.0  # no peak: they do not agree anywhere
    lag_s = lags_s[best] + _peak_shift(scores, best) * ENVELOPE_HOP_S
    return float(1e3 * lag_s), float(scores[best])


def frames_in(at_s: NDArray[np.float64], spans: list[Span]) -> NDArray[np.bool_]:
    """Return which moments lie inside one of the spans, (F,)."""
    inside = np.zeros(len(at_s), bool)
    for start_s, end_s in spans:
        inside |= (at_s >= start_s) & (at_s < end_s)
    return inside


def _agreement(
    mouth: Mouth, sound: Waveform, span: Span, lags_s: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the correlation of openness and loudness in and around the span, at every lag."""
    grid = np.arange(span.start_s - MARGIN_S, span.end_s + MARGIN_S, ENVELOPE_HOP_S)
    openness = np.interp(grid, mouth.at_s, mouth.openness)
    loudness = np.log(envelope(sound) + QUIET_RMS)
    smooth = np.convolve(loudness, SMOOTHING, "same")
    at = sound.start_s + (np.arange(len(smooth)) + 0.5) * ENVELOPE_HOP_S
    # A picture that is late by `lag` shows at t what sounded at t - lag.
    return np.array(
        [np.corrcoef(openness, np.interp(grid - lag, at, smooth))[0, 1] for lag in lags_s]
    )


def _peak_shift(scores: NDArray[np.float64], best: int) -> float:
    """Return the top of the parabola through the best score and its neighbours, in steps."""
    left, top, right = scores[best - 1 : best + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0


def _runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    padded = np.concatenate(([False], flags, [False])).astype(np.int8)
    return np.flatnonzero(np.diff(padded)).reshape(-1, 2)


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if joined and span.start_s - joined[-1].end_s < LIPS_GAP_S:
            joined[-1] = Span(joined[-1].start_s, span.end_s)
        else:
            joined.append(span)
    return joined
