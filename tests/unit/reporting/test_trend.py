"""Slopes are found where they are, and not where there is only noise."""

import numpy as np
import pytest

from reporting.trend import Trend, trend

pytestmark = pytest.mark.unit

HOUR = np.arange(1, 121) / 120


def wandering(dice: np.random.Generator, likeness: float) -> np.ndarray:
    """Noise of standard deviation 1 whose neighbours correlate by `likeness`."""
    values = np.zeros(len(HOUR))
    for at in range(1, len(values)):
        step = dice.normal(0, np.sqrt(1 - likeness**2))
        values[at] = likeness * values[at - 1] + step
    return values


def fitted(values: np.ndarray) -> Trend:
    found = trend(list(HOUR), list(values))
    assert found is not None
    return found


def doubt(of: Trend) -> float:
    """The width of the interval."""
    return of.high - of.low


def test_a_line_is_its_own_slope() -> None:
    found = fitted(7 + 40 * HOUR)
    assert found.per_hour == pytest.approx(40)
    assert found.at_start == pytest.approx(7)
    assert doubt(found) < 1e-6


def test_a_constant_has_no_slope_and_no_doubt() -> None:
    found = fitted(np.full(len(HOUR), 3.0))
    assert (found.per_hour, found.low, found.high) == pytest.approx((0, 0, 0))


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.8])
def test_flat_noise_is_seldom_taken_for_a_slope(likeness: float) -> None:
    dice = np.random.default_rng(3)
    found = [fitted(wandering(dice, likeness)) for _ in range(300)]
    wrong = sum(not one.low <= 0 <= one.high for one in found)
    assert wrong / len(found) < 0.10


def test_wandering_noise_leaves_more_doubt_than_independent_noise() -> None:
    dice = np.random.default_rng(4)
    doubts = {
        likeness: np.median([doubt(fitted(wandering(dice, likeness))) for _ in range(50)])
        for likeness in (0.0, 0.8)
    }
    assert doubts[0.8] > 2 * doubts[0.0]


def test_a_slope_in_noise_lies_inside_its_interval() -> None:
    dice = np.random.default_rng(5)
    found = [fitted(10 * HOUR + wandering(dice, 0.5)) for _ in range(300)]
    right = sum(one.low <= 10 <= one.high for one in found)
    assert right / len(found) > 0.90
    assert all(one.low > 0 for one in found)


def test_what_was_not_measured_is_left_out() -> None:
    values: list[float | None] = list(5 * HOUR)
    values[3] = values[50] = None
    found = trend(list(HOUR), values)
    assert found is not None
    assert found.per_hour == pytest.approx(5)


def test_a_few_points_are_no_trend() -> None:
    assert trend([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]) is None


def test_means_that_were_taken_out_before_count_as_fitted() -> None:
    values = [*wandering(np.random.default_rng(6), 0.0)]
    alone, more = trend(HOUR, values), trend(HOUR, values, fitted=6)
    assert alone is not None
    assert more is not None
    assert more.per_hour == alone.per_hour
    assert doubt(more) / doubt(alone) > np.sqrt((len(HOUR) - 2) / (len(HOUR) - 6))
    assert trend(HOUR[:11], values[:11], fitted=6) is None
    assert trend(HOUR[:12], values[:12], fitted=6) is not None
