"""Laws of the batched engine: together is as alone, and cut is as never made."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import GlmForCausalLM

from tests.unit.thinker_server.glm4voice.fixtures import tiny_language_model
from thinker_server.errors import TooManySessions
from thinker_server.glm4voice.decoder import GlmDecoder
from thinker_server.glm4voice.generation import READ_TOKENS, Emitted, Generation
from thinker_server.glm4voice.sampler import Sampling

pytestmark = pytest.mark.unit

MODEL: GlmForCausalLM = tiny_language_model()
VOCABULARY = 320
STOP = frozenset({7})
LIVELY = Sampling(temperature=1.0, top_p=0.9, size=VOCABULARY)


def generation(slots: int = 4, context: int = 900, sampling: Sampling = LIVELY) -> Generation:
    return Generation(GlmDecoder(MODEL, sampling, slots, context), STOP)


def prompt(seed: int, length: int) -> list[int]:
    dice = np.random.default_rng(seed)
    return [int(i) for i in dice.integers(8, VOCABULARY, length)]


@dataclass
class Answers:
    tokens: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    states: dict[int, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))

    def take(self, emitted: list[Emitted]) -> None:
        for one in emitted:
            self.tokens[one.slot].append(one.token_id)
            self.states[one.slot].append(one.state)


def finished(work: Generation) -> Answers:
    answers = Answers()
    while work.busy:
        answers.take(work.step())
    return answers


def assert_same(one: Answers, slot: int, other: Answers, other_slot: int) -> None:
    assert one.tokens[slot] == other.tokens[other_slot]
    for a, b in zip(one.states[slot], other.states[other_slot], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


@torch.inference_mode()
def test_greedy_answers_are_those_of_the_model_itself() -> None:
    work = generation(sampling=Sampling(0.0, 1.0, VOCABULARY))
    slot, ids = work.open(), prompt(1, 40)
    work.begin(slot, ids, 12, seed=0)
    answers = finished(work)
    for made, state in zip(answers.tokens[slot], answers.states[slot], strict=True):
        output = MODEL(torch.tensor([ids]), output_hidden_states=True)
        assert made == int(output.logits[0, -1].argmax())
        np.testing.assert_allclose(state, output.hidden_states[-1][0, -1], atol=2e-3)
        ids.append(made)


def test_a_batch_of_sessions_answers_as_each_alone() -> None:
    lengths = [5, 130, 33]
    together = generation()
    for seed, length in enumerate(lengths):
        together.begin(together.open(), prompt(seed, length), 30, seed)
    batch = finished(together)
    for seed, length in enumerate(lengths):
        alone = generation(slots=1)
        alone.begin(alone.open(), prompt(seed, length), 30, seed)
        assert_same(batch, seed, finished(alone), 0)


def test_sessions_join_and_leave_while_others_speak() -> None:
    alone = generation()
    alone.begin(alone.open(), prompt(9, 50), 40, seed=9)
    expected = finished(alone)
    work, answers = generation(), Answers()
    early, steady = work.open(), work.open()
    work.begin(early, prompt(8, 700), 40, seed=8)
    work.begin(steady, prompt(9, 50), 40, seed=9)
    for at in range(12):
        answers.take(work.step())
        if at == 5:
            work.close(early)
            late = work.open()
            assert late == early, "the lowest free slot"
            work.begin(late, prompt(7, 20), 5, seed=7)
    while work.busy:
        answers.take(work.step())
    assert_same(answers, steady, expected, 0)


def test_what_was_cut_is_as_if_it_had_never_been_made() -> None:
    ids = prompt(3, 60)
    cut, never = generation(), generation()
    slot = cut.open()
    cut.begin(slot, ids, 40, seed=1)
    made = finished(cut).tokens[slot]
    heard = [*ids, *made[:9], *prompt(4, 6)]
    assert cut.begin(slot, heard, 25, seed=2) == len(ids) + 9
    never.begin(never.open(), heard, 25, seed=2)
    assert_same(finished(cut), slot, finished(never), 0)
    for ours, theirs in zip(cut._decoder.cache.keys, never._decoder.cache.keys, strict=True):
        np.testing.assert_allclose(
            ours[slot, :, : len(heard)], theirs[0, :, : len(heard)], atol=2e-5, rtol=1e-3
        )


def test_an_interrupted_reading_goes_on_where_it_stopped() -> None:
    ids = prompt(5, READ_TOKENS + 50)
    work, whole = generation(), generation()
    slot = work.open()
    work.begin(slot, ids, 5, seed=0)
    work.step()
    work.stop(slot)
    assert not work.busy
    assert work.begin(slot, ids, 5, seed=0) == READ_TOKENS
    whole.begin(whole.open(), ids, 5, seed=0)
    assert_same(finished(work), slot, finished(whole), 0)


def test_a_stop_token_is_the_last_and_is_not_read() -> None:
    work = Generation(GlmDecoder(MODEL, LIVELY, 1, 600), frozenset(range(160)))
    slot, ids = work.open(), prompt(6, 10)
    work.begin(slot, ids, 50, seed=3)
    emitted = []
    while work.busy:
        emitted += work.step()
    assert [one.last for one in emitted] == [False] * (len(emitted) - 1) + [True]
    assert emitted[-1].token_id < 160
    assert len(emitted) < 50
    following = [*ids, *(one.token_id for one in emitted), 200]
    assert work.begin(slot, following, 1, seed=0) == len(ids) + len(emitted) - 1


def test_an_answer_ends_where_the_context_does() -> None:
    work = generation(context=64)
    slot = work.open()
    work.begin(slot, prompt(2, 60), 50, seed=0)
    assert len(finished(work).tokens[slot]) == 4
    with pytest.raises(ValueError, match="64 tokens"):
        work.begin(slot, prompt(2, 64), 1, seed=0)


def test_reading_ahead_says_nothing() -> None:
    work = generation()
    slot, ids = work.open(), prompt(2, 30)
    work.begin(slot, ids, 0, seed=0)
    assert finished(work).tokens == {}
    assert work.begin(slot, [*ids, 9], 1, seed=0) == 29


def test_prompts_are_read_in_turns_beside_the_answers() -> None:
    work = generation(context=2000)
    first, second, speaking = work.open(), work.open(), work.open()
    work.begin(speaking, prompt(1, 2), 50, seed=0)
    work.step()
    for slot in (first, second):
        work.begin(slot, prompt(slot, 2 * READ_TOKENS + 1), 1, seed=0)
    readers = []
    for _ in range(4):
        emitted = work.step()
        assert speaking in [one.slot for one in emitted], "nobody waits for a whole prompt"
        readers.append(work._last_reader)
    assert all(a != b for a, b in pairwise(readers))


def test_there_are_as_many_sessions_as_slots() -> None:
    work = generation(slots=2)
    work.open()
    work.open()
    with pytest.raises(TooManySessions, match="all 2"):
        work.open()


def test_the_addresses_of_the_cache_never_move() -> None:
    work = generation()
    before = [tensor.data_ptr() for tensor in work._decoder.cache.keys]
    for seed in range(3):
        work.begin(work.open(), prompt(seed, 80), 10, seed)
    finished(work)
    assert [tensor.data_ptr() for tensor in work._decoder.cache.keys] == before
