"""One conversation's key/value cache, kept across turns and cut to what is still true.

Dimension letters: T tokens, D width of a hidden state, V vocabulary.
"""

from collections.abc import Sequence

import torch
from transformers import DynamicCache, NoRepeatNGramLogitsProcessor, PreTrainedModel
from transformers.cache_utils import DynamicLayer

PREFILL_TOKENS = 64
"""Longest prefill in one step, so that other sessions' tokens wait 0.1 s at most."""

NO_REPEAT_TOKENS = 3
"""No run of so many tokens comes twice in one answer: greedy small models fall into loops ("a mix
of classical and jazz, a mix of ...") once their own earlier answers are in the context."""


class KVContext:
    """Tokens that the model has read, with their keys and values. Not thread-safe."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._cache = DynamicCache(config=model.config)
        self._read: list[int] = []
        self._unread: list[int] = []
        self._made: list[int] = []
        self._no_repeat = NoRepeatNGramLogitsProcessor(NO_REPEAT_TOKENS)

    @property
    def read_tokens(self) -> int:
        """Number of tokens in the cache."""
        return len(self._read)

    def begin(self, ids: Sequence[int]) -> int:
        """Make `ids` the whole context: keep the common prefix, cut the rest, note what is unread.

        At least one token stays unread, for its state predicts the next one. Returns the number of
        tokens kept.
        """
        keep = 0
        for ours, theirs in zip(self._read, ids[:-1], strict=False):
            if ours != theirs:
                break
            keep += 1
        keep = self.cut(keep)
        self._unread, self._made = list(ids[keep:]), []
        return keep

    def cut(self, tokens: int) -> int:
        """Forget what follows the first `tokens` tokens; returns how many are kept.

        Layers that keep more than plain keys and values (sliding windows, recurrent states) cannot
        go back, so there everything is forgotten; so is whatever a step that failed has left.
        """
        self._unread = []
        if 0 < len(self._read) <= tokens:
            return len(self._read)
        if tokens and all(type(layer) is DynamicLayer for layer in self._cache.layers):
            self._cache.crop(tokens - len(self._read))
        else:
            tokens, self._cache = 0, DynamicCache(config=self._model.config)
        self._read = self._read[:tokens]
        return tokens

    @torch.inference_mode()
    def step(self) -> torch.Tensor | None:
        """Read up to PREFILL_TOKENS tokens; the last state (D,) if nothing is unread now."""
        ids, self._unread = self._unread[:PREFILL_TOKENS], self._unread[PREFILL_TOKENS:]
        states = self._read_in(ids)
        return None if self._unread else states[-1]

    @torch.inference_mode()
    def force(self, ids: Sequence[int]) -> torch.Tensor:
        """Take `ids` for the answer, as if they had been made here; the states (T, D) that
        predicted them. Everything is read in one step.
        """
        states = self._read_in([*self._unread, *ids[:-1]])
        self._made += ids
        self._unread = [ids[-1]]
        return states[-len(ids) :]

    def _read_in(self, ids: list[int]) -> torch.Tensor:
        """The states (T, D) of the next T tokens."""
        output = self._model.base_model(
            input_ids=torch.tensor([ids]), past_key_values=self._cache, use_cache=True
        )
        self._read += ids
        states: torch.Tensor = output.last_hidden_state[0]
        return states

    @torch.inference_mode()
    def next_token(self) -> tuple[int, torch.Tensor] | None:
        """One step; once all is read, the likeliest next token that makes no loop, and the state
        (D,) that predicted it. The token becomes unread, so that the next step reads it.
        """
        state = self.step()
        if state is None:
            return None
        scores = self._no_repeat(torch.tensor([self._made]), self._head(state)[None])  # (1, V)
        token_id = int(scores.argmax())
        self._made.append(token_id)
        self._unread = [token_id]
        return token_id, state
