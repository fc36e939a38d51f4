"""Cutting a growing reply into clauses."""

import pytest

from thinker_server.speaking.clauses import LONGEST_CLAUSE_WORDS, ClauseCutter

pytestmark = pytest.mark.unit


def cut(text: str, size: int = 1, first_words: int = 9) -> list[str]:
    """Clauses of a text that arrives in pieces of `size` characters."""
    cutter = ClauseCutter(first_words)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    clauses = [clause for piece in pieces for clause in cutter.push(piece)]
    return [clause.text.strip() for clause in [*clauses, *cutter.finish()]]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Paris is it. It is big.", ["Paris is it.", "It is big."]),
        ("Well, I think so.", ["Well,", "I think so."]),
        ("Yes! Of course, my friend, it is.", ["Yes!", "Of course, my friend,", "it is."]),
        ("Dr. Smith met Mr. J. Doe. Then he left.", ["Dr. Smith met Mr. J. Doe.", "Then he left."]),
        ("It is 3.5 km, or 1,000 steps. Right?", ["It is 3.5 km,", "or 1,000 steps.", "Right?"]),
        ("See example.com for it. Bye.", ["See example.com for it.", "Bye."]),
        ("1. Go home. 2. Sleep.", ["1. Go home.", "2. Sleep."]),
        ('She said "no." Then left.', ['She said "no."', "Then left."]),
        ("Wait... what?", ["Wait...", "what?"]),
        ("First line\nSecond line", ["First line", "Second line"]),
        ("no end", ["no end"]),
        ("   ", []),
        ("Look: ```a. b. c``` done. Bye.", ["Look:", "```a. b. c``` done.", "Bye."]),
    ],
)
def test_clauses_end_where_a_speaker_would_breathe(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses


def test_clauses_together_are_the_text() -> None:
    text = "Well, Dr. Who is 3.5 years old; he lives (happily) in Rome. Does he? Yes!"
    cutter = ClauseCutter(9)
    clauses = [c for char in text for c in cutter.push(char)] + cutter.finish()
    assert "".join(clause.text for clause in clauses) == text
    assert [c.start for c in clauses] == [
        sum(len(b.text) for b in clauses[:i]) for i in range(len(clauses))
    ]


def test_a_first_clause_without_punctuation_is_cut_before_a_function_word() -> None:
    first, *_ = cut("The capital of France has been known for a long time indeed")
    assert first == "The capital of France has been known"
    assert cut("The capital of France is Paris.", first_words=5) == [
        "The capital of France",
        "is Paris.",
    ]


def test_a_long_clause_is_cut_even_when_nothing_invites_it() -> None:
    first, second, *_ = cut("Hm, " + " ".join(["word"] * 60))
    assert first == "Hm,"
    assert len(second.split()) == LONGEST_CLAUSE_WORDS


def test_sentences_are_counted() -> None:
    cutter = ClauseCutter(9)
    cutter.push("One, two. Three! Four")
    assert (cutter.sentences, cutter.clauses) == (2, 3)
