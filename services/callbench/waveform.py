"""Sound as samples on a clock, and where in it there is a voice.

Shapes: samples (N,) float32 in -1..1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOAT = NDArray[np.float32]

ENVELOPE_HOP_S = 0.01
# Speech codecs leave about -60 dBFS of noise in silence; quiet vowels lie above -40 dBFS.
VOICED_RMS = 0.006
# Stop consonants and breaths inside a sentence are shorter than this.
WORD_GAP_S = 0.4


class Span(NamedTuple):
    """A stretch of time, in seconds on the clock of what it was measured on."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Waveform:
    """Samples whose first one sounded at `start_s`."""

    samples: FLOAT
    sample_hz: int
    start_s: float = 0.0

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_hz

    def between(self, span: Span) -> "Waveform":
        """Return the part of the sound inside the span."""
        first = max(0, round((span.start_s - self.start_s) * self.sample_hz))
        last = max(first, round((span.end_s - self.start_s) * self.sample_hz))
        cut = self.samples[first:last]
        return Waveform(cut, self.sample_hz, self.start_s + first / self.sample_hz)


def envelope(sound: Waveform) -> FLOAT:
    """Return the root mean square of every 10 ms, (N // hop,)."""
    hop = round(ENVELOPE_HOP_S * sound.sample_hz)
    whole = len(sound.samples) // hop
    blocks = sound.samples[: whole * hop].reshape(whole, hop).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(blocks**2, axis=1)), np.float32)


def spans_where(
    flags: NDArray[np.bool_], hop_s: float, *, gap_s: float, start_s: float = 0.0
) -> list[Span]:
    """Return the stretches where flags hold, joined over gaps shorter than `gap_s`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    spans: list[Span] = []
    for first, last in edges.reshape(-1, 2):
        span = Span(start_s + float(first) * hop_s, start_s + float(last) * hop_s)
        if spans and span.start_s - spans[-1].end_s < gap_s:
            spans[-1] = Span(spans[-1].start_s, span.end_s)
        else:
            spans.append(span)
    return spans


def voiced_spans(
    sound: Waveform, *, gap_s: float = WORD_GAP_S, least_s: float = 0.05
) -> list[Span]:
    """Return when there was a voice; spans shorter than `least_s` are clicks and are left out."""
    loud = envelope(sound) > VOICED_RMS
    spans = spans_where(loud, ENVELOPE_HOP_S, gap_s=gap_s, start_s=sound.start_s)
    return [span for span in spans if span.end_s - span.start_s >= least_s]
