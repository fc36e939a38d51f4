"""One pass of the Actor: its milliseconds beside what its arithmetic and its weights allow.

Passes compute on noise in buffers that never move, recorded as a graph where there is a GPU: the
device's time, without that of the host.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from actor_server.cache import RingCache
from actor_server.gpubench.clock import Ceilings, Clock
from actor_server.graphs import FixedPass, PassGraphs, PassShape
from actor_server.model.empty import empty_actor
from actor_server.model.geometry import ActorGeometry
from actor_server.model.layers import (
    KeyValues,
    additive,
    attention_by_group,
    attention_over_heads,
)
from actor_server.model.video_transformer import VideoTransformer


@dataclass(frozen=True)
class PassFigures:
    """A pass of one session with W chunks in flight.

    pass_ms: with the clean chunk before them whose keys enter the cache; without_clean_ms: the
    passes between. tflop: products of the former, counted. floor_ms: the longer of its arithmetic
    at the products' ceiling and reading the weights at the copies'.
    """

    window: int
    pass_ms: float
    without_clean_ms: float
    tflop: float
    share_of_matmul_ceiling: float
    floor_ms: float


def pass_figures(
    model: VideoTransformer, window: int, clock: Clock, best: Ceilings, repeats: int
) -> PassFigures:
    pass_ms, without_ms = (
        _pass_ms(model, window, PassShape(1, lead + window, lead), clock, repeats)
        for lead in (1, 0)
    )
    tflop = pass_tflop(model.geometry, PassShape(1, window + 1, 1))
    weights_gb = sum(tensor.nbytes for tensor in model.layers.state_dict().values()) / 1e9
    return PassFigures(
        window=window,
        pass_ms=pass_ms,
        without_clean_ms=without_ms,
        tflop=tflop,
        share_of_matmul_ceiling=1000 * tflop / best.matmul_tflops / pass_ms,
        floor_ms=1000 * max(tflop / best.matmul_tflops, weights_gb / best.copy_gb_per_s),
    )


def pass_tflop(geometry: ActorGeometry, shape: PassShape) -> float:
    """Floating-point operations of a pass's products, masked ones included: counted, not run."""
    model = empty_actor(geometry)
    graphs = PassGraphs(model, RingCache(model, shape.rows, shape.slots - shape.lead), shape.rows)
    counter = FlopCounterMode(display=False)
    with counter:
        graphs.fixed_pass(shape).launch()
    return float(counter.get_total_flops() / 1e12)


@torch.inference_mode()
def _pass_ms(
    model: VideoTransformer, window: int, shape: PassShape, clock: Clock, repeats: int
) -> float:
    cache = RingCache(model, shape.rows, window)
    graphs = PassGraphs(model, cache, shape.rows)
    fixed = graphs.fixed_pass(shape)
    _make_noise(fixed, cache)
    graphs.capture([shape])
    return clock.median_ms(fixed.replay, repeats)


def _make_noise(fixed: FixedPass, cache: RingCache) -> None:
    """Zeros may be quicker than numbers."""
    for tensor in (*cache.view, *fixed.inputs):
        if tensor.is_floating_point():
            tensor.normal_()


@torch.inference_mode()
def attention_figures(
    model: VideoTransformer, window: int, clock: Clock, repeats: int
) -> dict[str, float | None]:
    """Milliseconds of one layer's self-attention, by ways to compute it; None: not possible."""
    geometry = model.geometry
    own = (window + 1) * geometry.tokens
    keys = 2 * geometry.reference_tokens + geometry.context_chunks * geometry.tokens + own

    def normal(heads: int, tokens: int) -> Tensor:
        shape = (1, heads, tokens, geometry.head_dim)
        return torch.randn(shape, dtype=model.dtype, device=model.device)

    queries = normal(geometry.heads, own)
    seen = KeyValues(normal(geometry.kv_heads, keys), normal(geometry.kv_heads, keys))
    mask = additive(torch.ones(1, 1, own, keys, dtype=torch.bool), model.dtype).to(model.device)
    found: dict[str, float | None] = {
        "over heads": clock.median_ms(lambda: attention_over_heads(queries, seen, mask), repeats),
        "by group": clock.median_ms(lambda: attention_by_group(queries, seen, mask), repeats),
    }
    for backend in (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        name = f"by group, {backend.name.split('_')[0].lower()}"
        try:
            with sdpa_kernel(backend):
                found[name] = clock.median_ms(
                    lambda: attention_by_group(queries, seen, mask), repeats
                )
        except RuntimeError:
            found[name] = None
    return found
