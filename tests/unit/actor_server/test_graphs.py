"""Passes between buffers that never move are the ordinary passes, and can be recorded."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from actor_server.graphs import PassShape
from actor_server.model.conditioner import Conditions
from actor_server.model.geometry import TINY
from actor_server.model.video_transformer import VideoTransformer
from actor_server.sampler import PyramidSampler
from tests.unit.actor_server.tiny_actor import random_conditions, random_latents, tiny_actor

pytestmark = pytest.mark.unit

SHORT_MEMORY = replace(TINY, context_chunks=3)
PORTRAIT = random_latents(1, 1)[0][0]
EXACT = {"atol": 1e-9, "rtol": 0}


def talk(sampler: PyramidSampler, conditions: Conditions) -> Tensor:
    """A call that is interrupted once: all its chunks (chunks, T, D)."""
    stream = sampler.open(PORTRAIT, seed=5)
    chunks: list[Tensor] = []
    for end, back in ((5, 2), (conditions.chunks, 0)):
        while stream.made < end:
            while stream.in_flight < sampler.window and stream.made + stream.in_flight < end:
                stream.offer(conditions[stream.made + stream.in_flight])
            (chunk,) = sampler.run_pass([stream])
            chunks += [] if chunk is None else [chunk]
        if back:
            stream.rollback(stream.made - 1 - back)
    return torch.stack(chunks)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("steps", "window"), [(1, 1), (4, 1), (4, 2), (4, 4), (8, 3)])
def test_passes_in_fixed_buffers_compute_the_same(steps: int, window: int, padded: bool) -> None:
    model, conditions = tiny_actor(SHORT_MEMORY), random_conditions(1, 9)
    plain = talk(PyramidSampler(model, steps, window, rows=1), conditions)
    sampler = PyramidSampler(model, steps, window, rows=1, padded=padded, graphs=True)
    assert len(plain) == 9 + 2
    torch.testing.assert_close(talk(sampler, conditions), plain, **EXACT)


def calls(sampler: PyramidSampler, rows: Sequence[int]) -> dict[int, Tensor]:
    """Sessions that begin one after another and pause when they like: the rows have gaps."""
    streams = {row: sampler.open(PORTRAIT + row, seed=row) for row in rows}
    talks = {row: random_conditions(1, 8, seed=row) for row in rows}
    chunks: dict[int, list[Tensor]] = {row: [] for row in rows}
    runs = torch.rand(60, 5, generator=torch.Generator().manual_seed(0)) < 0.7
    for at in range(len(runs)):
        running = [row for row in rows if at >= 3 * row and runs[at, row]]
        if not running:
            continue
        for row in running:
            stream = streams[row]
            while stream.in_flight < sampler.window and stream.made + stream.in_flight < 8:
                stream.offer(talks[row][stream.made + stream.in_flight])
        answers = sampler.run_pass([streams[row] for row in running])
        for row, chunk in zip(running, answers, strict=True):
            chunks[row] += [] if chunk is None else [chunk]
    return {row: torch.stack(made) for row, made in chunks.items()}


@pytest.mark.parametrize("padded", [True, False])
def test_sessions_of_one_fixed_pass_do_not_meet(padded: bool) -> None:
    model = tiny_actor(SHORT_MEMORY)
    fixed = PyramidSampler(model, 4, 2, rows=5, padded=padded, graphs=True)
    for row, chunks in calls(fixed, range(5)).items():
        assert len(chunks) == 8
        alone = calls(PyramidSampler(model, 4, 2, rows=1), [row])
        torch.testing.assert_close(chunks, alone[row], **EXACT)


def test_a_fixed_pass_neither_moves_nor_changes_its_shape() -> None:
    sampler = PyramidSampler(tiny_actor(SHORT_MEMORY), 4, 2, rows=1, padded=True, graphs=True)
    assert sampler.graphs is not None
    assert sampler.shapes == [(3, 1)]
    kept = sampler.graphs.fixed_pass(PassShape(1, 3, 1))
    before = [tensor.data_ptr() for tensor in kept.inputs]
    talk(sampler, random_conditions(1, 9))
    assert [tensor.data_ptr() for tensor in kept.inputs] == before
    assert kept.outputs is not None
    assert sampler.graphs.shapes == [PassShape(1, 3, 1)]


@pytest.mark.parametrize("window", [1, 3])
def test_the_sampler_knows_each_shape_that_can_happen(window: int) -> None:
    sampler = PyramidSampler(tiny_actor(SHORT_MEMORY), 6, window, rows=5, graphs=True)
    calls(sampler, range(5))
    assert sampler.graphs is not None
    possible = {PassShape(b, *shape) for b in (1, 2, 4, 5) for shape in sampler.shapes}
    assert len(sampler.graphs.shapes) > window
    assert possible.issuperset(sampler.graphs.shapes)


def imagined(rows: int, **how: bool) -> PyramidSampler:
    """A sampler on a GPU that need not be there; under FakeTensorMode."""
    with torch.device("cuda"):
        model = VideoTransformer(SHORT_MEMORY).requires_grad_(False)
    model.conditioner.fixed_times = model.conditioner.fixed_times.to("cuda")
    return PyramidSampler(model, 4, 2, rows=rows, **how)


class OnlyGpu(TorchDispatchMode):
    """Every operation reads and makes tensors of the GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves((args, kwargs, made)):
            assert not isinstance(one, Tensor) or one.is_cuda, f"{func} on the {one.device}"
        return made


@pytest.mark.parametrize("lead", [0, 1])
def test_a_pass_asks_nothing_of_the_host(lead: int) -> None:
    """What cannot be recorded fails here: a look at a number, a tensor that is sent."""
    with FakeTensorMode():
        graphs = imagined(rows=2, graphs=True).graphs
        assert graphs is not None
        fixed = graphs.fixed_pass(PassShape(2, 2 + lead, lead))
        with OnlyGpu(), torch.inference_mode():
            made = fixed.launch()
    assert made.latents.shape == (2, 2 + lead, SHORT_MEMORY.tokens, SHORT_MEMORY.latent_dim)
    assert (made.lead is not None) == bool(lead)


@pytest.mark.parametrize("graphs", [True, False])
def test_sessions_on_a_gpu_mix_nothing_with_what_is_on_the_host(graphs: bool) -> None:
    conditions = random_conditions(1, 4)
    with FakeTensorMode(allow_non_fake_inputs=True):
        sampler = imagined(rows=3, graphs=graphs)
        streams = [sampler.open(PORTRAIT, seed) for seed in (1, 2, 3)]
        made: list[Tensor | None] = []
        while len([chunk for chunk in made if chunk is not None]) < 6:
            for stream in streams[::2]:
                while stream.in_flight < 2:
                    stream.offer(conditions[0])
            made += sampler.run_pass(streams[::2])
        streams[0].rollback(1)
    assert {chunk.device.type for chunk in made if chunk is not None} == {"cuda"}


def test_a_pass_is_compiled_without_a_break() -> None:
    """`fullgraph` makes a break an error. Python runs what the compiler traced."""
    model, conditions = tiny_actor(SHORT_MEMORY), random_conditions(1, 7)
    plain = talk(PyramidSampler(model, 4, 2, rows=1), conditions)
    options = {"padded": True, "graphs": True, "compiler": "eager"}
    torch.compiler.reset()
    compiled = PyramidSampler(model, 4, 2, rows=1, **options)
    torch.testing.assert_close(talk(compiled, conditions), plain, **EXACT)
