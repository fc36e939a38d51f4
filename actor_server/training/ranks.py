"""The processes that train one model together, as torchrun starts them; usually one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """This process's place among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def share(self, parts: int) -> range:
        """The numbers below `parts` that are this process's. Raises ValueError for odd shares."""
        if parts % self.count:
            raise ValueError(
                f"{parts} parts of a step cannot be shared evenly by {self.count} processes"
            )
        return range(self.rank, parts, self.count)

    def total(self, number: Tensor) -> Tensor:
        """The sum over all processes, on each of them."""
        if self.count > 1:
            distributed.all_reduce(number := number.clone())
        return number

    def meet(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            distributed.barrier()

    def agree(self, wish: bool, device: torch.device) -> bool:
        """Whether any process wishes it."""
        if self.count == 1:
            return wish
        return bool(self.total(torch.tensor(float(wish), device=device)) > 0)


def whole(tensor: Tensor) -> Tensor:
    """A tensor whose parts may lie on all processes (a DTensor), brought together on each."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started, over NCCL on GPUs and gloo on CPUs.

    A process that it did not start is a group by itself.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if "RANK" in os.environ:
        distributed.init_process_group(backend)
    else:
        store = distributed.HashStore()  # type: ignore[attr-defined]
        distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
