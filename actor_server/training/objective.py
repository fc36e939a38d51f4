"""What a training step makes small: squared errors of the velocity, summed and counted.

Sum and count are apart so that a batch may be computed in parts, here or on many machines: the
loss is the sum over all of them by the count over all of them.
"""

from typing import Protocol

from torch import Tensor

from actor_server.model.conditioner import Conditions


class Objective(Protocol):
    """How errors (B, K, T, D) become a loss; `learned` (B, K) is False in clean chunks."""

    def counted(self, trusted: Tensor, learned: Tensor, conditions: Conditions) -> Tensor:
        """How often each number counts, (B, K, T, D)."""

    def total(self, deviations: Tensor, counted: Tensor, learned: Tensor) -> Tensor:
        """The sum of what deviations of the velocity, so often counted, cost."""


class VelocityObjective:
    """The plain square of every number of every noisy chunk. Source: X-Streamer, equation 3."""

    def counted(self, trusted: Tensor, learned: Tensor, conditions: Conditions) -> Tensor:
        """Once, where it is trusted."""
        return (trusted & learned[..., None, None]).float()

    def total(self, deviations: Tensor, counted: Tensor, learned: Tensor) -> Tensor:
        """The sum of squares."""
        return (deviations.square() * counted).sum()
