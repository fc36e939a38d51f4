"""The noise schedule begins at pure noise, ends at the signal and keeps the variance."""

import pytest
import torch

from actor_server.schedule import (
    add_noise,
    alpha,
    clean_from_velocity,
    ddim_step,
    midpoint_step,
    noise_from_velocity,
    sigma,
    velocity_target,
)

pytestmark = pytest.mark.unit

LEVELS = torch.linspace(0, 1, 26, dtype=torch.float64)[:, None]
CLEAN, NOISE = torch.randn(2, 26, 7, dtype=torch.float64)


def test_nothing_is_left_of_the_signal_at_one_and_of_the_noise_at_zero() -> None:
    one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    torch.testing.assert_close(add_noise(CLEAN, NOISE, one), NOISE)
    assert torch.equal(add_noise(CLEAN, NOISE, zero), CLEAN)
    torch.testing.assert_close(alpha(LEVELS) ** 2 + sigma(LEVELS) ** 2, torch.ones_like(LEVELS))


def test_the_true_velocity_gives_signal_and_noise_back_at_every_level() -> None:
    noisy, velocity = (mix(CLEAN, NOISE, LEVELS) for mix in (add_noise, velocity_target))
    torch.testing.assert_close(clean_from_velocity(noisy, velocity, LEVELS), CLEAN)
    torch.testing.assert_close(noise_from_velocity(noisy, velocity, LEVELS), NOISE)


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_with_the_true_velocity_any_number_of_steps_ends_at_the_signal(steps: int) -> None:
    x = NOISE
    for left in range(steps, 0, -1):
        now, after = (torch.tensor([[k / steps]]).double() for k in (left, left - 1))
        x = ddim_step(x, velocity_target(CLEAN, NOISE, now), now, after)
        torch.testing.assert_close(x, add_noise(CLEAN, NOISE, after), atol=1e-6, rtol=0)
    torch.testing.assert_close(x, CLEAN, atol=1e-6, rtol=0)


def sample(spread: float, steps: int) -> torch.Tensor:
    """From `NOISE` by midpoint steps, where the data is normal around 0 with this spread."""

    def expected(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        variance = (alpha(level) * spread).square() + sigma(level).square()
        return alpha(level) * sigma(level) * (1 - spread * spread) * noisy / variance

    x: torch.Tensor = NOISE
    for left in range(steps, 0, -1):
        now, after = (torch.tensor([[k / steps]]).double() for k in (left, left - 1))
        x = midpoint_step(x, expected, now, after)
    return x


def test_one_midpoint_step_ends_at_data_that_is_one_point_or_as_wide_as_noise() -> None:
    one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    point = midpoint_step(NOISE, lambda _, t: velocity_target(CLEAN, NOISE, t), one, zero)
    torch.testing.assert_close(point, CLEAN, atol=1e-6, rtol=0)
    torch.testing.assert_close(sample(1.0, 1), NOISE)


def test_twice_the_midpoint_steps_leave_a_quarter_of_the_error() -> None:
    spread = 0.5  # the curve from NOISE ends at spread * NOISE
    errors = [float((sample(spread, steps) - spread * NOISE).norm()) for steps in (8, 16, 32)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
