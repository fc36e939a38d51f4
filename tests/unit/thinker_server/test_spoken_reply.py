"""What was written, what is spoken and when: words, captions and text slots agree."""

import numpy as np
import pytest

from tests.unit.thinker_server.doubles import WORD_US, EvenVoice, tokens_of
from thinker_server.brain.brain import BrainToken
from thinker_server.segments.segmenter import Part
from thinker_server.segments.spoken_reply import SpokenReply
from thinker_server.speaking.clauses import Clause
from thinker_server.speaking.spoken_text import spoken_text

pytestmark = pytest.mark.unit


def speak(reply: SpokenReply, written: list[str]) -> tuple[list[str], list[int], list[Part]]:
    """Write and speak one clause per text; captions, their tokens, and all parts."""
    captions, tokens, parts, at = [], [], [], 0
    for text in written:
        for piece in tokens_of(text):
            reply.write(BrainToken(len(piece), piece, np.zeros(2, np.float16)))
        utterance = EvenVoice().synthesise(spoken_text(text))
        said, ready = reply.speak(Clause(text, at, ends_sentence=False), utterance)
        captions += [caption.text for caption in said]
        tokens += [caption.first_token for caption in said]
        parts += list(ready)
        at += len(text)
    return captions, tokens, parts + list(reply.end())


def test_captions_carry_the_token_at_which_each_word_sounds() -> None:
    captions, tokens, _ = speak(SpokenReply(), ["It is,", " of course, Paris."])
    assert "".join(captions) == "It is, of course, Paris."
    assert tokens == [0, 4, 8, 12, 16]


def test_every_text_token_gets_a_slot_even_when_it_is_not_spoken() -> None:
    reply = SpokenReply()
    captions, _, parts = speak(reply, ["**Well,** \U0001f600 see", " https://a.example/x ok."])
    assert "".join(captions) == "Well, see the website ok."
    slots = [token for part in parts for token in part.text]
    assert len(slots) == len(tokens_of("**Well,** \U0001f600 see")) + 3
    starts = [token.start_us for token in slots]
    assert starts == sorted(starts)
    assert starts[1] == starts[2] == WORD_US, "the emoji goes with the word after it"


def test_heard_text_counts_words_of_which_at_least_half_sounded() -> None:
    reply = SpokenReply()
    speak(reply, ["one two three"])
    assert reply.heard_text(None) == "one two three"
    assert reply.heard_text(12) == "one two three"
    assert reply.heard_text(10) == "one two", "half of the third word is not yet more than half"
    assert reply.heard_text(11) == "one two three"
    assert reply.heard_text(0) == ""
