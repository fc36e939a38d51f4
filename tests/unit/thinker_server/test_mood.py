"""Marks and words that set a reply's mood: never spoken, never shown, on time."""

import pytest

from proto.messages import Expression, HiddenChunk, Mood, TextDelta
from tests.unit.thinker_server.doubles import (
    WORD_US,
    ScriptedConversation,
    wired_session,
)
from thinker_server.brain.prompt import opening
from thinker_server.speaking.clauses import Clause, ClauseCutter
from thinker_server.speaking.mood import MARKS, WORD_STRENGTH, ReplyMood, mood_of_words
from thinker_server.speaking.spoken_text import spoken_text

pytestmark = pytest.mark.unit

MARKED = "Hm. [warm] Nice day, my friend. [ Look  LEFT ]Over there [serious]it burns down now."
PLAIN = "Hm. Nice day, my friend. Over there it burns down now."


def clauses_of(text: str, size: int, first_words: int = 4) -> list[Clause]:
    """Of a text that arrives in pieces of `size` characters."""
    cutter = ClauseCutter(first_words)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    clauses = [clause for piece in pieces for clause in cutter.push(piece)]
    return clauses + cutter.finish()


@pytest.mark.parametrize("size", [*range(1, 14), 1000])
def test_marks_are_no_words_and_are_never_cut_in_two(size: int) -> None:
    marked, plain = clauses_of(MARKED, size), clauses_of(PLAIN, size)
    assert [spoken_text(c.text) for c in marked] == [spoken_text(c.text) for c in plain]
    assert "".join(clause.text for clause in marked) == MARKED


@pytest.mark.parametrize("before", range(1, 9))
def test_a_clause_without_punctuation_is_not_cut_within_a_mark(before: int) -> None:
    words = f"{'word ' * before}[look left] eight nine ten"
    clauses = clauses_of(words, size=1, first_words=7)
    assert all(c.text.count("[") == c.text.count("]") for c in clauses)


@pytest.mark.parametrize("mark", MARKS)
def test_no_mark_is_spoken(mark: str) -> None:
    assert spoken_text(f"[{mark}] Well, [{mark.upper()}]so it is.") == "Well, so it is."


def test_links_and_other_brackets_are_no_marks() -> None:
    assert spoken_text("See [warm](https://a.example/x) [coats] here.") == "See warm coats here."


def test_marks_hold_to_the_end_of_the_reply_and_each_changes_its_own_part() -> None:
    mood = ReplyMood(by_words=False)
    felt = [mood.of(clause.text).over(Mood()) for clause in clauses_of(MARKED, 5)]
    warm, serious = Mood(expression="warm"), Mood(expression="serious")
    look = {"yaw_deg": 8.0, "pitch_deg": 0.0}
    assert felt == [Mood(), warm, serious.model_copy(update=look)]
    assert mood.of("Go on.").over(Mood()) == felt[-1]
    assert mood.of("[neutral][look ahead] So.").over(Mood()) == Mood(
        expression="neutral", yaw_deg=0.0, pitch_deg=0.0
    )


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("Hello there!", "warm"),
        ("You\u2019re welcome.", "warm"),
        ("Thank you for asking.", "warm"),
        ("Oh, I did not know that.", "surprised"),
        ("You did what?!", "surprised"),
        ("Wow!", "surprised"),
        ("I'm sorry to hear that.", "serious"),
        ("Hi, unfortunately it is closed.", "serious"),
        ("The capital of Spain is Madrid.", None),
        ("This is the highest hill.", None),
        ("Ohio is a state.", None),
        ("What is your name?", None),
    ],
)
def test_words_that_greet_wonder_and_apologise_are_noticed(
    text: str, expression: Expression | None
) -> None:
    strength = WORD_STRENGTH if expression else 1.0
    assert mood_of_words(text) == Mood(expression=expression, strength=strength)


def test_a_chat_model_that_marks_its_expressions_is_not_second_guessed() -> None:
    marked, looking = ReplyMood(by_words=True), ReplyMood(by_words=True)
    assert marked.of("[serious] Hello.").over(Mood()).expression == "serious"
    assert marked.of("Thank you.").over(Mood()).expression == "serious"
    assert looking.of("[look up] Hello.").over(Mood()) == Mood(
        expression="warm", strength=WORD_STRENGTH, yaw_deg=0.0, pitch_deg=-5.0
    )


def test_a_mood_that_was_chosen_goes_before_a_guess_and_a_mark_before_both() -> None:
    mood, calls_own = ReplyMood(by_words=True), Mood(expression="neutral", yaw_deg=5.0)
    assert mood.of("Hello, thank you!").over(calls_own) == calls_own
    assert mood.of("[surprised] Oh.").over(calls_own) == Mood(expression="surprised", yaw_deg=5.0)


async def test_a_reply_s_moods_go_with_its_speech_and_leave_no_word() -> None:
    script = "[warm] Hello you there. It is [look left] late now. Go."
    async with wired_session(ScriptedConversation([script]), ["Hi"]) as wired:
        await wired.ask(1)
    words = "".join(m.text for m in wired.agent if isinstance(m, TextDelta))
    assert words == "Hello you there. It is late now. Go."
    changes = [c for m in wired.actor if isinstance(m, HiddenChunk) for c in m.moods or ()]
    tokens = WORD_US // 80_000
    warm = Mood(expression="warm")
    assert [(c.first_token, c.mood.meant) for c in changes] == [
        (0, warm),
        (3 * tokens, warm.model_copy(update={"yaw_deg": 8.0, "pitch_deg": 0.0})),
    ]


@pytest.mark.parametrize("by_words", [True, False])
async def test_the_rule_of_words_can_be_switched_off(by_words: bool) -> None:
    conversation = ScriptedConversation(["Hello there.", "It is late."])
    async with wired_session(conversation, ["Hi"], mood_by_words=by_words) as wired:
        await wired.ask(1)
        await wired.ask(2)
    moods = {m.turn: m.moods for m in wired.actor if isinstance(m, HiddenChunk) if m.moods}
    assert list(moods) == ([1] if by_words else []), "a reply begins without a mood of its own"


def test_a_chat_model_is_told_of_the_marks_only_when_asked_to() -> None:
    told, untold = (opening("Ann", "", marks=marks)[0].text for marks in (True, False))
    assert "[" not in untold
    assert all(f"[{mark}]" in told for mark in MARKS)
