"""A conversation on a random Llama of two layers: what was read ahead changes no answer."""

import asyncio
from collections.abc import Sequence

import pytest
import torch
from transformers import LlamaForCausalLM

from tests.unit.thinker_server.test_kv_context import model
from thinker_server.brain.brain import BrainLabel, ChatMessage, Conversation
from thinker_server.brain.kv_context import PREFILL_TOKENS, KVContext
from thinker_server.brain.transformers_brain import TransformersBrain

pytestmark = pytest.mark.unit

__all__ = ["model"]

LONG = [ChatMessage("system", "be kind. " * 60), ChatMessage("user", "What is it? " * 30)]
MORE = [*LONG, ChatMessage("assistant", "Fine."), ChatMessage("user", "And now?")]


class Letters:
    """A tokenizer of one token for each letter, without a chat template."""

    chat_template = None
    eos_token_id = 0

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(letter) % 97 for letter in text]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        return "".join(chr(33 + token) for token in ids)


class Counting:
    """How many tokens a model was given to read."""

    def __init__(self, model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tokens = 0
        self.fails = False
        read_in = KVContext._read_in

        def counted(context: KVContext, ids: list[int]) -> torch.Tensor:
            if self.fails:
                raise RuntimeError("no memory")
            self.tokens += len(ids)
            return read_in(context, ids)

        monkeypatch.setattr(KVContext, "_read_in", counted)


def brain(model: LlamaForCausalLM) -> TransformersBrain:
    return TransformersBrain(model, Letters(), BrainLabel("random", "a test"), gives_states=False)


async def answer(
    conversation: Conversation, messages: Sequence[ChatMessage], count: int = 5
) -> str:
    text = ""
    async for token in conversation.reply(messages):
        text += token.text
        count -= 1
        if not count:
            break
    return text


async def test_after_reading_ahead_an_answer_reads_only_what_is_new(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counting(model, monkeypatch)
    thinking = brain(model)
    cold = await answer(thinking.open(), MORE)
    ahead = thinking.open()
    await ahead.warm(MORE[:-1])
    read.tokens = 0
    assert await answer(ahead, MORE) == cold
    assert read.tokens < 40, "the question, what begins the answer, and four of its tokens"
    await thinking.close()


async def test_reading_ahead_can_be_cut_off_and_what_was_read_by_then_stays(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counting(model, monkeypatch)
    thinking = brain(model)
    cold = await answer(thinking.open(), MORE)
    whole = read.tokens
    ahead = thinking.open()
    read.tokens = 0
    warming = asyncio.create_task(ahead.warm(MORE[:-1]))
    while read.tokens < 2 * PREFILL_TOKENS:
        await asyncio.sleep(0)
    warming.cancel()
    assert await answer(ahead, MORE) == cold
    assert warming.cancelled()
    assert read.tokens == whole
    await thinking.close()


async def test_reading_ahead_that_failed_leaves_nothing_half_read(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counting(model, monkeypatch)
    thinking = brain(model)
    cold = await answer(thinking.open(), MORE)
    ahead = thinking.open()
    await ahead.warm(LONG)
    read.fails = True
    with pytest.raises(RuntimeError):
        await ahead.warm(MORE[:-1])
    read.fails = False
    assert await answer(ahead, MORE) == cold
    await thinking.close()
