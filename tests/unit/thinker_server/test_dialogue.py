"""What the brain gets to read."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.messages import HistoryTurn
from thinker_server.brain.brain import ChatMessage
from thinker_server.dialogue import QUESTION_TOKENS, Dialogue, Exchange
from thinker_server.speaking.voice import TimedWord

pytestmark = pytest.mark.unit

SYSTEM = ChatMessage("system", "s")


def words(messages: Sequence[ChatMessage]) -> int:
    return sum(len(message.text.split()) for message in messages)


def said(turn: int, question: str, answer: str) -> Exchange:
    exchange = Exchange(turn, question)
    exchange.reply.words = [TimedWord(word, 0, 1) for word in answer.split()]
    return exchange


def test_history_is_restored() -> None:
    history = (HistoryTurn(role="user", text="hi"), HistoryTurn(role="assistant", text="hello"))
    dialogue = Dialogue([SYSTEM], history, words, 100)
    asked = Exchange(3, "again?")
    assert dialogue.prompt(asked) == [
        SYSTEM,
        ChatMessage("user", "hi"),
        ChatMessage("assistant", "hello"),
        ChatMessage("user", "again?"),
    ]
    assert dialogue.known() == dialogue.prompt(asked)[:-1]


def test_the_oldest_leave_when_the_context_is_full_and_the_opening_stays() -> None:
    dialogue = Dialogue([SYSTEM], (), words, 40)
    for turn in range(10):
        dialogue.add(said(turn, f"question {turn}", "a b c"))
    prompt = dialogue.prompt(Exchange(10, "last question"))
    assert prompt[0] == SYSTEM
    assert prompt[-1] == ChatMessage("user", "last question")
    assert words(prompt) <= 20, "evicted to half, so that the next turns need no eviction"
    assert ChatMessage("user", "question 9") in prompt
    assert ChatMessage("user", "question 0") not in prompt


def test_a_question_longer_than_the_context_is_asked_as_far_as_it_fits() -> None:
    dialogue = Dialogue([SYSTEM], (), words, 20)
    dialogue.add(said(1, "q", "a"))
    asked = Exchange(2, " ".join(["very"] * 50))
    dialogue.add(asked)
    prompt = dialogue.prompt(asked)
    assert prompt[-1].text.split() == ["very"] * 9
    assert prompt[1:3] == [ChatMessage("user", "q"), ChatMessage("assistant", "a")]
    assert asked.shortened
    assert dialogue.prompt(asked)[-1] == prompt[-1]


def test_a_long_opening_costs_no_question() -> None:
    opening = [ChatMessage("system", " ".join(["kind"] * 80))]
    history = (HistoryTurn(role="user", text="hi"), HistoryTurn(role="assistant", text="hello"))
    dialogue = Dialogue(opening, history, words, 100)
    asked = Exchange(2, "a b c d e f")
    assert [message.text for message in dialogue.prompt(asked)[1:]] == [
        "hi",
        "hello",
        asked.user_text,
    ]
    full = Dialogue([ChatMessage("system", " ".join(["kind"] * 200))], (), words, 100)
    assert full.prompt(asked)[-1].text == "a b c d e f"
    assert not asked.shortened


def test_a_question_that_fits_is_left_alone() -> None:
    dialogue = Dialogue([SYSTEM], (), words, 20)
    asked = Exchange(2, "a b c d e f g h i")
    assert dialogue.prompt(asked)[-1].text == "a b c d e f g h i"
    assert not asked.shortened


def test_of_a_long_history_is_known_what_the_first_question_will_find() -> None:
    history = [
        HistoryTurn.model_validate({"role": role, "text": f"{turn} b c"})
        for turn in range(20)
        for role in ("user", "assistant")
    ]
    dialogue = Dialogue([SYSTEM], history, words, 40)
    known = dialogue.known()
    assert words(known) <= 20
    assert known[-1] == ChatMessage("assistant", "19 b c")
    assert dialogue.prompt(Exchange(21, "and now?"))[: len(known)] == known


def test_what_the_caller_asked_before_a_crash_is_taken_up_by_a_turn_without_words() -> None:
    history = (HistoryTurn(role="user", text="why?"),)
    dialogue = Dialogue([SYSTEM], history, words, 100)
    wordless = Exchange(3)
    assert dialogue.take_up(wordless)
    assert dialogue.prompt(wordless) == [SYSTEM, ChatMessage("user", "why?")]
    wordless.reply.words = [TimedWord("because", 0, 1)]
    dialogue.add(wordless)
    assert not dialogue.take_up(Exchange(4)), "it has its answer"
    for turn in range(5, 60):
        dialogue.add(said(turn, f"question {turn}", "a b c"))
        assert dialogue.prompt(Exchange(99, "last"))[1].role == "user", "no answer without question"


def test_a_second_interrupt_cannot_unhear_less() -> None:
    exchange = said(1, "q", "a b")
    exchange.cut(5)
    exchange.cut(9)
    assert exchange.heard_tokens == 5


def test_an_exchange_that_is_being_answered_is_read_once() -> None:
    dialogue = Dialogue([SYSTEM], (), words, 100)
    asked = Exchange(1, "why?")
    dialogue.add(asked)
    assert dialogue.prompt(asked) == [SYSTEM, ChatMessage("user", "why?")]


LENGTHS = st.lists(
    st.tuples(st.integers(1, QUESTION_TOKENS), st.integers(0, 80), st.none() | st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


@given(LENGTHS)
def test_every_prompt_begins_with_what_could_be_read_ahead(
    turns: list[tuple[int, int, int | None]],
) -> None:
    dialogue = Dialogue([SYSTEM], (), words, 400)
    for turn, (question, answer, heard) in enumerate(turns):
        known = dialogue.known()
        asked = said(turn, " ".join(["q"] * question), " ".join(["a"] * answer))
        prompt = dialogue.prompt(asked)
        assert prompt[:-1] == known
        assert words(prompt) <= 400
        dialogue.add(asked)
        if heard is not None:
            asked.cut(heard)
        assert asked is dialogue.find(turn)
        dialogue.known()
        assert asked is dialogue.find(turn), "an answer that may still sound is not forgotten"


def test_the_oldest_leave_before_the_question_that_they_leave_no_room_for() -> None:
    dialogue = Dialogue([SYSTEM], (), words, 400)
    dialogue.known()
    for turn in range(6):
        dialogue.add(said(turn, f"question {turn}", " ".join(["a"] * 60)))
    assert words(dialogue.known()) <= 200
    assert dialogue.find(0) is None
    assert dialogue.find(5) is not None
