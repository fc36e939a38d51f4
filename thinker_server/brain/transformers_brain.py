"""Any Hugging Face causal LM as a brain: one model, one worker thread, a cache per conversation.

Sessions are interleaved by the worker's queue: each awaits its own short step (one token, or a
bounded prefill) before it asks for the next one, so first come, first served is round-robin.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from thinker_server.brain.brain import BrainLabel, BrainToken, ChatMessage, Conversation
from thinker_server.brain.kv_context import KVContext

T = TypeVar("T")

UNFINISHED = "\ufffd"
"""What the tokenizer shows for a character of which some bytes are still to come."""


class TransformersBrain:
    """A loaded model. `gives_states`: hand out hidden states (only the Actor's own brain does)."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        label: BrainLabel,
        gives_states: bool,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.gives_states = gives_states
        self.label = label
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brain")
        self.stop_ids = _stop_ids(model, tokenizer)

    def open(self) -> Conversation:
        """A new conversation with an empty cache."""
        return _CachedConversation(self)

    def ids(self, messages: Sequence[ChatMessage], answer: bool) -> list[int]:
        """Token ids of messages in the model's own chat template."""
        chat = [{"role": message.role, "content": message.text} for message in messages]
        if self.tokenizer.chat_template is None:
            lines = [f"{message['role'].capitalize()}: {message['content']}\n" for message in chat]
            text = "".join(lines) + ("Assistant:" if answer else "")
        else:
            rendered = self.tokenizer.apply_chat_template(
                chat, add_generation_prompt=answer, tokenize=False
            )
            text = str(rendered)
        plain = self.tokenizer.chat_template is None
        return list(self.tokenizer.encode(text, add_special_tokens=plain))

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens that the messages fill in the context."""
        return len(self.ids(messages, answer=True))

    async def close(self) -> None:
        """End the worker thread after its current step."""
        self.worker.shutdown(wait=True, cancel_futures=True)


class TextPieces:
    """The text that each token of an answer adds."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._text = ""

    def push(self, token_id: int) -> str:
        """Text of the next token; empty while a character lacks some of its bytes."""
        self._ids.append(token_id)
        longer = str(self._tokenizer.decode(self._ids, skip_special_tokens=True))
        piece = "" if longer.endswith(UNFINISHED) else longer[len(self._text) :]
        self._text += piece
        return piece


def wire_state(state: torch.Tensor) -> np.ndarray:
    """A hidden state (D,) as it travels: float16."""
    half: np.ndarray = state.to(torch.float16).numpy()
    return half


class _CachedConversation:
    """A session's cache and the text of what it generates."""

    def __init__(self, brain: TransformersBrain) -> None:
        self._brain = brain
        self._context = KVContext(brain.model)
        self._turn = asyncio.Lock()

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[BrainToken, None]:
        """Tokens of a greedy answer, until the model ends it or the caller stops asking."""
        async with self._turn:
            await self._run(partial(self._begin, messages, True))
            pieces = TextPieces(self._brain.tokenizer)
            while (step := await self._next()) is not None:
                token_id, state = step
                yield BrainToken(token_id, pieces.push(token_id), self._wire_state(state))

    async def _next(self) -> tuple[int, torch.Tensor] | None:
        """The next token and its state; None at the end of the answer."""
        step = await self._until(self._context.next_token)
        return None if step[0] in self._brain.stop_ids else step

    async def _until(self, step: Callable[[], T | None]) -> T:
        """Repeat a step of the context until it gives something."""
        try:
            while (given := await self._run(step)) is None:
                pass
        except Exception:
            await self._run(partial(self._context.cut, 0))  # it may hold half of a step
            raise
        return given

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """Read messages now; the reply to more of them only reads the rest."""
        async with self._turn:
            await self._run(partial(self._begin, messages, False))
            await self._until(self._context.step)

    async def close(self) -> None:
        """Drop the cache."""
        await self._run(partial(self._context.cut, 0))

    def _begin(self, messages: Sequence[ChatMessage], answer: bool) -> None:
        self._context.begin(self._brain.ids(messages, answer))

    def _wire_state(self, state: torch.Tensor) -> np.ndarray | None:
        return wire_state(state) if self._brain.gives_states else None

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._brain.worker, step)


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends an answer, from the tokenizer and the generation configuration."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in [tokenizer.eos_token_id, *listed] if i is not None)
