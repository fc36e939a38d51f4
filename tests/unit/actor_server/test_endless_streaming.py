"""A call may last for ever: the thousandth hour costs, and computes, what the first second does."""

import gc
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from actor_server.model.geometry import TINY
from actor_server.sampler import PyramidSampler, SamplerStream
from tests.unit.actor_server.tiny_actor import random_conditions, random_latents, tiny_actor

pytestmark = pytest.mark.unit

TEN_HOURS_CHUNKS = 112_500
PORTRAIT = random_latents(1, 1)[0][0]
CONDITIONS = random_conditions(1, 5)


class Operations(TorchDispatchMode):
    """Writes down every operation with the shapes of what it works on."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, list[torch.Size]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shapes = [value.shape for value in args if isinstance(value, Tensor)]
        self.done.append((str(func), shapes))
        return func(*args, **(kwargs or {}))


def always_the_same_noise(_seed: int, _chunk: int, shape: tuple[int, ...]) -> Tensor:
    return torch.linspace(-1.5, 1.5, 6, dtype=torch.float64).reshape(shape)


def make_chunks(sampler: PyramidSampler, stream: SamplerStream, chunks: int) -> list[Tensor]:
    """As many more chunks; conditions repeat every five."""
    made = []
    while len(made) < chunks:
        while stream.in_flight < sampler.window:
            stream.offer(CONDITIONS[(stream.made + stream.in_flight) % 5])
        (chunk,) = sampler.run_pass([stream])
        made += [] if chunk is None else [chunk]
    return made


def tensor_bytes() -> int:
    """Memory of every tensor that is alive, each storage once."""
    gc.collect()
    alive = [found for found in gc.get_objects() if issubclass(type(found), Tensor)]
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in alive}
    return sum(storages.values())


def test_two_thousand_chunks_later_a_chunk_takes_the_same_operations_and_the_same_memory() -> None:
    sampler = PyramidSampler(tiny_actor(replace(TINY, layers=1)), 1, 1, rows=1)
    stream = sampler.open(PORTRAIT, seed=5)

    def one_chunk() -> tuple[list[tuple[str, list[torch.Size]]], int]:
        with Operations() as operations:
            make_chunks(sampler, stream, 1)
        return operations.done, tensor_bytes()

    make_chunks(sampler, stream, 60)
    operations, memory = one_chunk()
    assert len(operations) > 100
    assert memory > 10_000
    make_chunks(sampler, stream, 1940)
    assert one_chunk() == (operations, memory)


@pytest.mark.parametrize(("steps", "window"), [(2, 1), (4, 2)])
def test_after_ten_hours_the_same_content_gives_the_same_chunks_bit_for_bit(
    steps: int, window: int
) -> None:
    model = tiny_actor()
    sampler = PyramidSampler(model, steps, window, rows=1, noise=always_the_same_noise)
    stream = sampler.open(PORTRAIT, seed=5)
    make_chunks(sampler, stream, 40)

    later = PyramidSampler(model, steps, window, rows=1, noise=always_the_same_noise)
    aged = later.open(PORTRAIT, seed=5)
    make_chunks(later, aged, 40)
    put_on(later, aged, TEN_HOURS_CHUNKS)
    assert aged.made == 40 + TEN_HOURS_CHUNKS
    first, last = make_chunks(sampler, stream, 50), make_chunks(later, aged, 50)
    assert all(map(torch.equal, first, last))
    assert not torch.equal(first[0], first[1])


def put_on(sampler: PyramidSampler, stream: SamplerStream, chunks: int) -> None:
    """Move the stream's clock on, as if chunks with the same content had been made meanwhile."""
    cache = sampler.cache
    for ring in cache.ring:
        ring.copy_(ring.roll(chunks, dims=3))
    cache._length[stream.row] += chunks
    cache._written[stream.row] += chunks
    pyramid = stream.pyramid
    pyramid.made += chunks
    for chunk in [*pyramid.flying, pyramid.pending]:
        assert chunk is not None
        chunk.index += chunks
