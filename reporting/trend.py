"""Straight lines through noisy series, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEAST_POINTS = 8
CONFIDENCE = 0.95
MOST_CORRELATED = 0.95


@dataclass(frozen=True)
class Trend:
    """Change per hour by least squares, with its 95 % confidence interval."""

    per_hour: float
    low: float
    high: float
    at_start: float


def trend(
    at_h: Sequence[float], values: Sequence[float | None], *, fitted: int = 2
) -> Trend | None:
    """Fit a line to what was measured; None where that is too little.

    `fitted`: how many numbers are estimated from the values: the line's two, and more where means
    were taken out of the values before.

    Neighbouring samples of a process resemble each other, so so many of them say less than
    independent ones would. With lag-1 correlation r of the residuals, n samples count as
    n (1 - r) / (1 + r): Bartlett's formula for a first-order autoregressive series.
    """
    pairs = [(at, value) for at, value in zip(at_h, values, strict=True) if value is not None]
    if len(pairs) < LEAST_POINTS - 2 + fitted:
        return None
    at, measured = np.array(pairs, np.float64).T
    count = len(at)
    centred = at - at.mean()
    slope = float(centred @ measured / (centred @ centred))
    start = float(measured.mean() - slope * at.mean())
    left = measured - start - slope * at
    share = float(left[1:] @ left[:-1] / max(left @ left, 1e-12))
    share = min(max(share, 0.0), MOST_CORRELATED)
    effective = max(fitted + 1.0, count * (1 - share) / (1 + share))
    variance = float(left @ left) / (count - fitted) / float(centred @ centred)
    error = float(np.sqrt(variance * (1 + share) / (1 - share)))
    reach = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, effective - fitted))
    return Trend(slope, slope - reach, slope + reach, start)
