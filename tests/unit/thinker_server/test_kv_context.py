"""The key/value cache, on a random Llama of two layers: what is kept must not change the answer."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from thinker_server.brain.kv_context import PREFILL_TOKENS, KVContext

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    built = LlamaForCausalLM(config)
    built.eval()
    return built


def generate(context: KVContext, ids: list[int], count: int) -> list[int]:
    """Greedy tokens after ids."""
    context.begin(ids)
    made: list[int] = []
    while len(made) < count:
        step = context.next_token()
        if step is not None:
            made.append(step[0])
    return made


def ids(seed: int, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 97, (length,), generator=generator).tolist()


def test_streaming_equals_the_full_computation(model: LlamaForCausalLM) -> None:
    prompt = ids(1, 3 * PREFILL_TOKENS + 5)
    made = generate(KVContext(model), prompt, 6)
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + made])).logits[0]
    assert made == logits[len(prompt) - 1 : -1].argmax(-1).tolist()


def test_the_state_is_the_one_that_predicted_the_token(model: LlamaForCausalLM) -> None:
    prompt = ids(2, 9)
    context = KVContext(model)
    context.begin(prompt)
    step = context.next_token()
    assert step is not None
    with torch.inference_mode():
        states = model.base_model(torch.tensor([prompt])).last_hidden_state[0]
    torch.testing.assert_close(step[1], states[-1])


def test_a_kept_prefix_is_not_read_again_and_changes_nothing(model: LlamaForCausalLM) -> None:
    context = KVContext(model)
    first = ids(3, 40)
    made = generate(context, first, 8)
    following = first + made[:3] + ids(4, 7)  # cut to what was heard, then the next question
    kept = context.begin(following)
    assert kept == len(first) + 3
    assert generate(context, following, 5) == generate(KVContext(model), following, 5)


def test_the_same_prompt_again_gives_the_same_answer(model: LlamaForCausalLM) -> None:
    context = KVContext(model)
    prompt = ids(5, 20)
    assert generate(context, prompt, 5) == generate(context, prompt, 5)


def test_a_long_prompt_is_read_in_bounded_steps(model: LlamaForCausalLM) -> None:
    context = KVContext(model)
    context.begin(ids(6, 2 * PREFILL_TOKENS + 1))
    assert context.next_token() is None
    assert context.read_tokens == PREFILL_TOKENS
    assert context.next_token() is None
    assert context.next_token() is not None


def test_cutting_to_nothing_starts_afresh(model: LlamaForCausalLM) -> None:
    context = KVContext(model)
    generate(context, ids(7, 10), 3)
    assert context.cut(0) == 0
    assert context.read_tokens == 0
    prompt = ids(8, 10)
    assert generate(context, prompt, 3) == generate(KVContext(model), prompt, 3)


def runs_of_three(tokens: list[int]) -> list[tuple[int, ...]]:
    return list(zip(tokens, tokens[1:], tokens[2:], strict=False))


def test_an_answer_does_not_loop(model: LlamaForCausalLM) -> None:
    prompt = ids(9, 12)
    looping = list(prompt)
    with torch.inference_mode():
        for _ in range(80):
            looping.append(int(model(torch.tensor([looping])).logits[0, -1].argmax()))
    looped = runs_of_three(looping[len(prompt) :])
    assert len(set(looped)) < len(looped)  # so plain greedy decoding would
    made = runs_of_three(generate(KVContext(model), prompt, 80))
    assert len(set(made)) == len(made)
