"""Milliseconds of work on a device, and what the device can do at best."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from actor_server.gpubench.sizes import Size

WARM = 3


@dataclass(frozen=True)
class Ceilings:
    """Of the largest products and copies of this run, on random numbers."""

    matmul_tflops: float
    copy_gb_per_s: float  # read and written


class Clock:
    """The wall's, read when the device has nothing left to do."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def ms(self, work: Callable[[], object]) -> float:
        """Of doing it once."""
        self._wait()
        begun = time.perf_counter()
        work()
        self._wait()
        return 1000 * (time.perf_counter() - begun)

    def median_ms(self, work: Callable[[], object], times: int) -> float:
        """After a few times that do not count."""
        for _ in range(WARM):
            work()
        return median(self.ms(work) for _ in range(times))

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@torch.inference_mode()
def ceilings(clock: Clock, size: Size, dtype: torch.dtype) -> Ceilings:
    """The card's own, so that shares of them do not depend on a data sheet."""
    side = size.matmul_side
    left, right = (torch.randn(side, side, device=clock.device).to(dtype) for _ in range(2))
    product_ms = clock.median_ms(lambda: left @ right, size.repeats)
    source = torch.randint(256, (size.copy_bytes,), dtype=torch.uint8, device=clock.device)
    target = torch.empty_like(source)
    copy_ms = clock.median_ms(lambda: target.copy_(source), size.repeats)
    return Ceilings(
        matmul_tflops=2 * side**3 / product_ms / 1e9,
        copy_gb_per_s=2 * size.copy_bytes / copy_ms / 1e6,
    )
