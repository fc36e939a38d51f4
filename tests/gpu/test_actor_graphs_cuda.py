"""The Actor's passes on a GPU: replayed graphs give what launched passes give."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from actor_server.model.geometry import TINY
from actor_server.model.layers import (
    KeyValues,
    additive,
    attention_by_group,
    attention_over_heads,
)
from actor_server.sampler import PyramidSampler
from tests.unit.actor_server.test_graphs import calls, talk
from tests.unit.actor_server.tiny_actor import random_conditions, tiny_actor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]

GEOMETRY = replace(TINY, context_chunks=3)


def on_gpu(rows: int, **how: bool | str) -> PyramidSampler:
    sampler = PyramidSampler(tiny_actor(GEOMETRY).to("cuda"), 4, 2, rows=rows, **how)
    sampler.capture()
    return sampler


@pytest.mark.parametrize("padded", [True, False])
def test_replayed_passes_compute_what_launched_ones_do(padded: bool) -> None:
    conditions = random_conditions(1, 9)
    plain: Tensor = talk(on_gpu(1), conditions)
    replayed = talk(on_gpu(1, graphs=True, padded=padded), conditions)
    torch.testing.assert_close(replayed, plain, atol=1e-6, rtol=0)
    on_cpu = talk(PyramidSampler(tiny_actor(GEOMETRY), 4, 2, rows=1), conditions)
    torch.testing.assert_close(replayed.cpu(), on_cpu, atol=1e-6, rtol=0)


def test_compiled_passes_compute_what_launched_ones_do() -> None:
    conditions = random_conditions(1, 9)
    compiled = talk(on_gpu(1, graphs=True, padded=True, compiler="inductor"), conditions)
    torch.testing.assert_close(compiled, talk(on_gpu(1), conditions), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rows", [1, 3])
def test_attention_in_a_fused_kernel_is_attention(rows: int) -> None:
    """Half precision beside single, as large as a layer of the 9B Actor with W = 1."""
    dice = torch.Generator("cuda").manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice, device="cuda")

    queries = normal(rows, 32, 128, 128)
    seen = KeyValues(normal(rows, 2, 2240, 128), normal(rows, 2, 2240, 128))
    mask = additive(normal(rows, 1, 128, 2240) > -0.5, torch.float32)
    exact = attention_over_heads(queries, seen, mask)
    halved = KeyValues(seen.keys.bfloat16(), seen.values.bfloat16())
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
        found = attention_by_group(queries.bfloat16(), halved, mask.bfloat16())
    assert float((found - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize("padded", [True, False])
def test_replayed_sessions_do_not_meet(padded: bool) -> None:
    plain, replayed = (
        calls(on_gpu(5), range(5)),
        calls(on_gpu(5, graphs=True, padded=padded), range(5)),
    )
    for row, chunks in plain.items():
        torch.testing.assert_close(replayed[row], chunks, atol=1e-6, rtol=0)
