"""Recited answers are what a call would have sent."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from proto.message import Message
from proto.messages import HiddenChunk, TurnEnd
from tests.unit.thinker_server.doubles import (
    LIMITS,
    STATE_WIDTH,
    EvenVoice,
    ScriptedConversation,
    tokens_of,
    wired_session,
)
from tests.unit.thinker_server.test_kv_context import ids, model
from thinker_server.brain.brain import BrainToken
from thinker_server.brain.kv_context import KVContext
from thinker_server.recite import (
    Piece,
    Recited,
    pieces_of,
    read_sentences,
    recite_all,
    speak,
)
from thinker_server.speaking.paced_voice import PACES, PacedVoice

pytestmark = pytest.mark.unit

ANSWER = "The sea is calm, but the wind is cold today. Take a coat, if you have one."

__all__ = ["model"]


def written(answer: str) -> list[BrainToken]:
    """The tokens that ScriptedConversation gives for an answer."""
    return [
        BrainToken(index, piece, np.full(STATE_WIDTH, index, np.float16))
        for index, piece in enumerate(tokens_of(answer))
    ]


async def test_a_recited_answer_is_byte_for_byte_what_a_call_sends() -> None:
    async with wired_session(ScriptedConversation([ANSWER]), ["how is it"]) as wired:
        end = await wired.ask(1)
        called = [m for m in wired.actor if isinstance(m, HiddenChunk)]
    recited = speak(written(ANSWER), EvenVoice(), LIMITS.first_clause_words)
    assert isinstance(end, TurnEnd)
    assert len(recited) == len(called) > 3
    for ours, theirs in zip(recited, called, strict=True):
        for name in HiddenChunk.model_fields.keys() - Message.model_fields.keys():
            np.testing.assert_equal(getattr(ours, name), getattr(theirs, name), name)


def test_a_forced_answer_has_the_states_that_predicted_its_tokens(model: LlamaForCausalLM) -> None:
    context = KVContext(model)
    for seed, prompt_length in ((1, 70), (1, 70), (2, 9)):
        prompt, answer = ids(seed, prompt_length), ids(9, 6)
        context.begin(prompt)
        states = context.force(answer)
        with torch.inference_mode():
            whole = model.base_model(torch.tensor([prompt + answer])).last_hidden_state[0]
        torch.testing.assert_close(states, whole[len(prompt) - 1 : -1])


def test_a_forced_answer_equals_the_one_that_the_model_makes(model: LlamaForCausalLM) -> None:
    prompt = ids(4, 11)
    made, forced = KVContext(model), KVContext(model)
    made.begin(prompt)
    steps = [step for step in (made.next_token() for _ in range(5)) if step is not None]
    forced.begin(prompt)
    states = forced.force([token for token, _ in steps])
    torch.testing.assert_close(states, torch.stack([state for _, state in steps]))


def test_a_faster_voice_is_shorter_and_higher_and_keeps_its_times() -> None:
    plain = EvenVoice().synthesise("one two three")
    fast = PacedVoice(EvenVoice(), Fraction(6, 5)).synthesise("one two three")
    assert len(fast.pcm) == len(plain.pcm) * 5 // 6
    assert fast.phones[1].start_us == plain.phones[1].start_us * 5 // 6
    assert fast.words[-1].end_us == len(fast.pcm) * 1000 // 24
    assert PacedVoice(EvenVoice(), Fraction(1)).synthesise("one").pcm.shape == (7680,)


def test_pieces_repeat_with_the_seed_and_cover_all_sentences_and_paces() -> None:
    texts = ["one", "two", "three"]
    pieces = list(islice(pieces_of(texts, "even", seed=0), 60))
    assert pieces == list(islice(pieces_of(texts, "even", seed=0), 60))
    assert {piece.text for piece in pieces[:3]} == set(texts)
    assert {PACES[piece.pace] for piece in pieces} == set(PACES)
    assert len({piece.file_name for piece in pieces}) == len(
        {(p.text, p.question, PACES[p.pace]) for p in pieces}
    )


@dataclass
class CountingReciter:
    """Every piece takes ten seconds; every third one has nothing to say."""

    asked: list[Piece] = field(default_factory=list)

    def recite(self, piece: Piece) -> Recited | None:
        self.asked.append(piece)
        if len(self.asked) % 3 == 0:
            return None
        return Recited(piece.file_name, piece.text, piece.voice, 1.0, 125)


def test_each_voice_speaks_as_long_as_it_was_asked_to() -> None:
    reciter = CountingReciter()
    lines = recite_all(reciter, ["a", "b"], {"one": 1.0, "two": 0.5}, seed=0)
    assert [line.voice for line in lines].count("one") in (6, 7)
    assert [line.voice for line in lines].count("two") in (3, 4)


def test_comments_and_blank_lines_are_not_recited(tmp_path: Path) -> None:
    path = tmp_path / "sentences.txt"
    path.write_text("# greetings\n\nHi there.\n  Bye!  \n")
    assert read_sentences(path) == ["Hi there.", "Bye!"]
