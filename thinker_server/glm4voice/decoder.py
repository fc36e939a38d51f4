"""The language model over the slots: reading prompts, and one token for every session at once.

Shapes: B rows, L tokens read at once, T visible tokens, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GlmForCausalLM

from thinker_server.glm4voice.sampler import Sampling, choose
from thinker_server.glm4voice.slot_cache import SlotCache

SMALLEST_WINDOW_TOKENS = 512
"""A step reads as many tokens of the cache as the longest session has, rounded up to a power of
two from here: few shapes, hence few CUDA graphs, and at most twice the reading."""


@dataclass(frozen=True)
class Step:
    """What one session puts into a step: its newest token, where it stands, its random number."""

    slot: int
    token_id: int
    position: int
    number: float


@dataclass(frozen=True)
class Chosen:
    """What a session gets: the next token and the state (D,) float16 that the head read for it."""

    slot: int
    token_id: int
    state: np.ndarray


class GlmDecoder:
    """Holds the model, the cache, and the buffers that a CUDA graph reads and writes."""

    def __init__(
        self, model: GlmForCausalLM, sampling: Sampling, slots: int, context_tokens: int
    ) -> None:
        self.model = model
        self.slots = slots
        self.context_tokens = context_tokens
        self.device = model.lm_head.weight.device
        dtype = model.lm_head.weight.dtype
        self._sampling = sampling
        self.cache = SlotCache(model.config, slots, context_tokens, dtype, self.device)
        width = model.config.hidden_size
        self._ids = torch.zeros(slots, dtype=torch.long, device=self.device)
        self._positions = torch.zeros(slots, dtype=torch.long, device=self.device)
        self._numbers = torch.zeros(slots, device=self.device)
        self._next = torch.zeros(slots, dtype=torch.long, device=self.device)
        self._states = torch.zeros(slots, width, dtype=torch.float16, device=self.device)
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    @torch.inference_mode()
    def read(self, slot: int, start: int, ids: Sequence[int]) -> None:
        """Put tokens of a prompt into a slot's cache, from position `start` on."""
        positions = torch.arange(start, start + len(ids), device=self.device)
        columns = torch.arange(start + len(ids), device=self.device)
        mask = columns[None, :] <= positions[:, None]  # (L, T)
        self.cache.read_into(slot, start, len(ids))
        self._forward(torch.tensor([ids], device=self.device), positions[None], mask[None, None])

    @torch.inference_mode()
    def step(self, steps: Sequence[Step]) -> list[Chosen]:
        """Read one token of each session and choose the next one."""
        rows = max(step.slot for step in steps) + 1
        batch = min(_power_of_two(rows), self.slots)
        window = self._window(max(step.position for step in steps) + 1)
        self._fill(steps)
        graph = self._graphs.get((batch, window))
        if graph is None:
            self._step_rows(batch, window)
        else:
            graph.replay()
        chosen = self._next[:batch].tolist()
        states = self._states[:batch].cpu().numpy()
        return [Chosen(s.slot, chosen[s.slot], states[s.slot].copy()) for s in steps]

    def capture(self) -> None:
        """Record every shape of a step as a CUDA graph; nothing to do on a CPU.

        To be called before other threads use the device. The graphs share one memory pool, for no
        two of them run at once.
        """
        if self.device.type != "cuda":
            return
        pool = torch.cuda.graph_pool_handle()
        for batch in _powers_up_to(1, self.slots):
            for window in _powers_up_to(SMALLEST_WINDOW_TOKENS, self.context_tokens):
                self._graphs[batch, window] = self._captured(batch, window, pool)

    @torch.inference_mode()
    def _captured(self, batch: int, window: int, pool: Any) -> torch.cuda.CUDAGraph:
        self._positions.fill_(self.cache.scratch)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):  # libraries set themselves up outside of the recording
            self._step_rows(batch, window)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            self._step_rows(batch, window)
        return graph

    def _fill(self, steps: Sequence[Step]) -> None:
        """Write the inputs where a graph finds them; rows without a session get the scratch."""
        ids, positions = [0] * self.slots, [self.cache.scratch] * self.slots
        numbers = [0.0] * self.slots
        for step in steps:
            ids[step.slot], positions[step.slot] = step.token_id, step.position
            numbers[step.slot] = step.number
        self._ids.copy_(torch.tensor(ids))
        self._positions.copy_(torch.tensor(positions))
        self._numbers.copy_(torch.tensor(numbers))

    def _step_rows(self, batch: int, window: int) -> None:
        """The first `batch` slots, reading `window` tokens of the cache: buffers to buffers."""
        positions = self._positions[:batch]
        columns = torch.arange(window, device=self.device)
        mask = (columns[None, :] <= positions[:, None])[:, None, None, :]  # (B, 1, 1, T)
        self.cache.step_rows(positions, window)
        states = self._forward(self._ids[:batch, None], positions[:, None], mask)[:, 0]
        logits = self.model.lm_head(states)
        self._next[:batch] = choose(logits, self._numbers[:batch], self._sampling)
        self._states[:batch] = states

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """States (B, L, D) after the final norm."""
        states: torch.Tensor = self.model.model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return states

    def _window(self, tokens: int) -> int:
        return min(max(_power_of_two(tokens), SMALLEST_WINDOW_TOKENS), self.context_tokens)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _powers_up_to(first: int, last: int) -> list[int]:
    """first, twice that, ... and at last `last` itself."""
    powers = []
    while first < last:
        powers.append(first)
        first *= 2
    return [*powers, last]
