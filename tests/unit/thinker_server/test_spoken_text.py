"""Markdown, emoji, URLs and code never reach the voice."""

import pytest

from thinker_server.speaking.spoken_text import spoken_text

pytestmark = pytest.mark.unit

TABLE = [
    ("Hello there.", "Hello there."),
    ("**Paris** is *the* capital.", "Paris is the capital."),
    ("__Bold__ and ~~gone~~ and `code`.", "Bold and gone and code."),
    ("***Very*** important", "Very important"),
    ("# A heading", "A heading"),
    ("- one\n- two\n* three", "one two three"),
    ("1. First\n2) Second", "First Second"),
    ("> quoted", "quoted"),
    ("---", ""),
    ("See [the docs](https://example.com/a?b=c).", "See the docs."),
    ("![a cat](cat.png) Nice.", "Nice."),
    ("Visit https://example.com/a,b?c=1, please.", "Visit the website, please."),
    ("Go to www.example.org.", "Go to the website."),
    ("It is on example.com.", "It is on the website."),
    ("<https://example.com> is it", "the website is it"),
    ("Write to ann.lee@example.com!", "Write to the email address!"),
    ("Great \U0001f600\U0001f44d\U0001f3fd!", "Great!"),
    (
        "Family \U0001f468‍\U0001f469‍\U0001f467 and flag \U0001f1eb\U0001f1f7 ok",
        "Family and flag ok",
    ),
    ("I ❤️ you ☀️", "I you"),
    ("Nice :) really ;-) yes :D", "Nice really yes"),
    ("I <3 this", "I this"),
    ("```python\nprint('x')\n``` That is code.", "That is code."),
    ("```never closed", ""),
    ("<b>Bold</b> and<br/>break", "Bold and break"),
    ("text<|im_end|>", "text"),
    ("snake_case_name", "snake case name"),
    ("2 * 3 is 6", "2 times 3 is 6"),
    ("| a | b |", "a b"),
    ("It costs $5.99 or 20%.", "It costs $5.99 or 20%."),
    ("It is 25°C at 7:30 pm.", "It is 25°C at 7:30 pm."),
    ("Dr. Smith isn't here, e.g. at 3/4 mile.", "Dr. Smith isn't here, e.g. at 3/4 mile."),
    ("Café, naïve", "Café, naïve"),
    ("Q&A", "Q&A"),
    ("...", ""),
    ("\U0001f600", ""),
    ("tab\tand\x00null", "tab and null"),
    ("well - yes", "well yes"),
    ("A -> B ✓", "A B"),
]


@pytest.mark.parametrize(("written", "spoken"), TABLE)
def test_only_what_can_be_said_is_said(written: str, spoken: str) -> None:
    assert spoken_text(written) == spoken


@pytest.mark.parametrize("written", [written for written, _ in TABLE])
def test_cleaning_twice_changes_nothing(written: str) -> None:
    once = spoken_text(written)
    assert spoken_text(once) == once
