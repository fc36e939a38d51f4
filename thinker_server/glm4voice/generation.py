"""Answers of several sessions at once: who reads, who speaks, what each has in its cache.

Synchronous and repeatable: `step` does a bounded piece of work and says what came of it. A session
joins and leaves between two steps, and no session's tokens depend on another's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from thinker_server.errors import TooManySessions
from thinker_server.glm4voice.decoder import Chosen, GlmDecoder, Step

READ_TOKENS = 512
"""Longest stretch of a prompt in one step, so that other sessions' answers hardly wait."""


@dataclass(frozen=True)
class Emitted:
    """A token of a slot's answer. `last`: nothing follows, and a stop token is not for the ear."""

    slot: int
    token_id: int
    state: np.ndarray
    last: bool


@dataclass
class _Slot:
    """`read` is in the cache; `unread` must be read before the next token can be chosen."""

    read: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    left: int = 0
    dice: np.random.Generator = field(default_factory=np.random.default_rng)

    @property
    def reads(self) -> bool:
        return len(self.unread) > 1

    @property
    def speaks(self) -> bool:
        return self.left > 0 and len(self.unread) == 1


class Generation:
    """Not thread-safe: one thread owns it."""

    def __init__(self, decoder: GlmDecoder, stop_ids: frozenset[int]) -> None:
        self._decoder = decoder
        self._stop_ids = stop_ids
        self._slots: dict[int, _Slot] = {}
        self._last_reader = -1

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return any(slot.reads or slot.speaks for slot in self._slots.values())

    def open(self) -> int:
        """A free slot, the lowest, so that batches stay small. Raises TooManySessions."""
        for number in range(self._decoder.slots):
            if number not in self._slots:
                self._slots[number] = _Slot()
                return number
        raise TooManySessions(
            f"all {self._decoder.slots} places in the model's cache are taken; try again later, or "
            "raise max_sessions in [thinker] of xstreamer.toml"
        )

    def begin(self, number: int, ids: Sequence[int], tokens: int, seed: int) -> int:
        """Make `ids` the slot's whole context, then answer with at most so many tokens.

        What the cache has in common with `ids` is kept, the rest is cut. With 0 tokens the context
        is only read. Returns how many tokens were kept. Raises ValueError when nothing fits behind.
        """
        if not ids or len(ids) >= self._decoder.context_tokens:
            raise ValueError(
                f"a context of {len(ids)} tokens, there is room for 1 to "
                f"{self._decoder.context_tokens - 1}"
            )
        slot = self._slots[number]
        kept = 0
        for ours, theirs in zip(slot.read, ids[:-1], strict=False):
            if ours != theirs:
                break
            kept += 1
        slot.read, slot.unread = slot.read[:kept], list(ids[kept:])
        slot.left = min(tokens, self._decoder.context_tokens - len(ids))
        slot.dice = np.random.default_rng(seed)
        return kept

    def stop(self, number: int) -> None:
        """Say nothing more; what was read stays in the cache."""
        slot = self._slots[number]
        slot.unread, slot.left = [], 0

    def close(self, number: int) -> None:
        """Free the slot."""
        del self._slots[number]

    def forget(self) -> None:
        """Stop all and trust no cache any more, after a step that failed half-way."""
        for slot in self._slots.values():
            slot.read, slot.unread, slot.left = [], [], 0

    def step(self) -> list[Emitted]:
        """Read a stretch of one prompt, then choose a token for every session that speaks."""
        self._read_on()
        speaking = {number: slot for number, slot in self._slots.items() if slot.speaks}
        if not speaking:
            return []
        steps = [
            Step(number, slot.unread[0], len(slot.read), slot.dice.random())
            for number, slot in speaking.items()
        ]
        return [self._emit(chosen) for chosen in self._decoder.step(steps)]

    def _read_on(self) -> None:
        """The sessions that read take turns."""
        waiting = sorted(number for number, slot in self._slots.items() if slot.reads)
        if not waiting:
            return
        number = next((n for n in waiting if n > self._last_reader), waiting[0])
        self._last_reader = number
        slot = self._slots[number]
        count = min(READ_TOKENS, len(slot.unread) - 1)
        self._decoder.read(number, len(slot.read), slot.unread[:count])
        slot.read += slot.unread[:count]
        slot.unread = slot.unread[count:]

    def _emit(self, chosen: Chosen) -> Emitted:
        slot = self._slots[chosen.slot]
        slot.read += slot.unread
        slot.unread = [chosen.token_id]
        slot.left -= 1
        if chosen.token_id in self._stop_ids:
            slot.left = 0
        if slot.left == 0:
            slot.unread = []
        return Emitted(chosen.slot, chosen.token_id, chosen.state, last=slot.left == 0)
