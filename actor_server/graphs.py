"""Passes whose tensors never move: recorded once as CUDA graphs, replayed instead of launched.

A pass of the 9B Actor launches some two thousand kernels; a graph launches them at once. The same
buffers serve uncaptured passes, which is how a CPU proves them; recording itself needs a GPU.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch

from actor_server.cache import RingCache, index_of
from actor_server.model.layers import KeyValues
from actor_server.model.rotary import Rotation
from actor_server.model.video_transformer import VideoTransformer
from actor_server.sampler_pass import PassInputs, PassOutputs, blank_inputs, compute_pass


class PassShape(NamedTuple):
    """rows: the first so many of the cache; slots: chunks of a row; lead: as in `compute_pass`."""

    rows: int
    slots: int
    lead: int


class FixedPass:
    """A pass of one shape between its own buffers and the cache."""

    def __init__(
        self,
        model: VideoTransformer,
        cache: RingCache,
        time_rotation: Rotation,
        shape: PassShape,
        compute: Callable[..., PassOutputs],
    ) -> None:
        self.inputs = blank_inputs(model, shape.rows, shape.slots)
        self.outputs: PassOutputs | None = None
        self.shape = shape
        self._model, self._time_rotation, self._compute = model, time_rotation, compute
        self._extend = cache.extend_rows(range(shape.rows))
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, rows: Sequence[int], inputs: PassInputs) -> PassOutputs:
        """As `compute_pass` of these rows of the cache; the others compute what nobody reads."""
        places = index_of(rows)
        for kept, new in zip(self.inputs[:-2], inputs[:-2], strict=True):
            kept[places] = new
        for kept, new in zip(self.inputs[-2:], inputs[-2:], strict=True):
            kept[:, places] = new  # conditions have their layers in front
        made = self.replay()
        lead = made.lead and KeyValues(*(part[:, places].clone() for part in made.lead))
        return PassOutputs(made.latents[places].clone(), lead)

    def replay(self) -> PassOutputs:
        """The pass once more over what its buffers hold; the next one overwrites what it made."""
        if self.outputs is None:
            self.outputs = self.launch()
        elif self._graph is not None:
            self._graph.replay()
        else:
            _overwrite(self.outputs, self.launch())
        return self.outputs

    def launch(self) -> PassOutputs:
        """What is recorded: buffers in, tensors out, each kernel launched from the host."""
        return self._compute(
            self._model, self.inputs, self._extend, self._time_rotation, self.shape.lead
        )

    def capture(self, pool: Any) -> None:
        """Record it, once libraries and compiler have set themselves up in a pass before."""
        device = self._model.device
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            self.launch()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            self.outputs = self.launch()
        self._graph = graph


class PassGraphs:
    """The fixed passes of one sampler, made when they are first needed or captured.

    `backend` is torch.compile's, or None: each shape is compiled as a whole, without a break.
    """

    def __init__(
        self, model: VideoTransformer, cache: RingCache, rows: int, backend: str | None = None
    ) -> None:
        self._model, self._cache, self._rows = model, cache, rows
        self._time_rotation = model.time_rotation()
        self._passes: dict[PassShape, FixedPass] = {}
        self._compute: Callable[..., PassOutputs] = compute_pass
        if backend is not None:
            self._compute = torch.compile(
                compute_pass, fullgraph=True, dynamic=False, backend=backend
            )

    @property
    def batches(self) -> list[int]:
        """How many rows a pass may have: powers of two, and all."""
        powers = [1 << place for place in range(self._rows.bit_length())]
        return sorted({*(power for power in powers if power < self._rows), self._rows})

    @property
    def shapes(self) -> list[PassShape]:
        """Of the passes made so far."""
        return list(self._passes)

    def run(self, rows: Sequence[int], inputs: PassInputs, lead: int) -> PassOutputs:
        """As `compute_pass` of these rows of the cache, in fixed buffers."""
        batch = next(batch for batch in self.batches if batch > max(rows))
        shape = PassShape(batch, inputs.latents.shape[1], lead)
        return self.fixed_pass(shape).run(rows, inputs)

    def fixed_pass(self, shape: PassShape) -> FixedPass:
        """That of the shape; not captured unless `capture` was told to."""
        if shape not in self._passes:
            made = FixedPass(self._model, self._cache, self._time_rotation, shape, self._compute)
            self._passes[shape] = made
        return self._passes[shape]

    @torch.inference_mode()
    def capture(self, shapes: Iterable[PassShape]) -> None:
        """Record passes; nothing to do on a CPU.

        To be called before other threads use the device. The graphs share one memory pool, for no
        two of them run at once.
        """
        if self._model.device.type != "cuda":
            return
        pool = torch.cuda.graph_pool_handle()
        for shape in shapes:
            self.fixed_pass(shape).capture(pool)


def _overwrite(kept: PassOutputs, new: PassOutputs) -> None:
    """As a graph does, so that who keeps what a pass made is found out without a GPU too."""
    for old, made in zip(
        (kept.latents, *(kept.lead or ())), (new.latents, *(new.lead or ())), strict=True
    ):
        old.copy_(made)
