"""The mood of a reply, clause by clause: marks that the chat model wrote, else its own words.

A mark stands in the text, best at the beginning of a clause, and is never spoken or shown:
`[warm]`, `[serious]`, `[surprised]`, `[neutral]`, `[look left]` (of the picture), `[look right]`,
`[look up]`, `[look down]`, `[look ahead]`. It holds from its clause to the end of the reply.

The rule for replies without marks is a short list of English words; it knows no irony.
"""

import re
from typing import Final

from proto.messages import Expression, Mood, SpokenMood

MARKS: Final[dict[str, Mood]] = {
    "neutral": Mood(expression="neutral"),
    "warm": Mood(expression="warm"),
    "serious": Mood(expression="serious"),
    "surprised": Mood(expression="surprised"),
    "look left": Mood(yaw_deg=8.0, pitch_deg=0.0),
    "look right": Mood(yaw_deg=-8.0, pitch_deg=0.0),
    "look up": Mood(yaw_deg=0.0, pitch_deg=-5.0),
    "look down": Mood(yaw_deg=0.0, pitch_deg=5.0),
    "look ahead": Mood(yaw_deg=0.0, pitch_deg=0.0),
}
MARK: Final = re.compile(rf"\[ *({'|'.join(MARKS).replace(' ', ' +')}) *\](?!\()", re.IGNORECASE)
"""`[warm](address)` is a link."""
OPEN_MARK: Final = re.compile(r"\[[a-z ]{0,24}\Z", re.IGNORECASE)
"""What may become a mark when more is written."""
WORD_STRENGTH: Final = 0.7
"""A guess shows less than what was meant."""
_WORDS: Final[dict[Expression, str]] = {
    "serious": (
        r"\b(sorry|apologi[sz]e|apologies|unfortunately|sadly|condolences|regrets?"
        r"|afraid (that|not|i|we|it)|passed away)\b"
    ),
    "surprised": (
        r"^\W*(oh|wow|whoa|goodness|what a|no way)\b|^\W*really[?!]|\b(amazing|incredible)\b"
        r"|\?!|!\?"
    ),
    "warm": (
        r"^\W*(hi|hello|hey|good (morning|afternoon|evening)|welcome|congratulations|goodbye|bye)\b"
        r"|\b(thanks|thank you|you're welcome|nice to|good to (see|hear)|glad|happy to|take care"
        r"|my pleasure)\b"
    ),
}
"""The first that is found counts: "Hi, I'm sorry" is serious."""
_SAYS: Final = tuple(
    (re.compile(words, re.IGNORECASE), Mood(expression=expression, strength=WORD_STRENGTH))
    for expression, words in _WORDS.items()
)


def without_marks(text: str) -> str:
    """The same text with blanks where marks stood."""
    return MARK.sub(lambda mark: " " * len(mark.group()), text)


class ReplyMood:
    """Follows one reply. Marks and guesses hold to its end, or until others come."""

    def __init__(self, *, by_words: bool) -> None:
        self._by_words = by_words
        self._meant = self._guess = Mood()

    def of(self, clause: str) -> SpokenMood:
        """The mood from this clause on; clauses must come in order."""
        for mark in MARK.finditer(clause):
            self._meant = MARKS[" ".join(mark.group(1).lower().split())].over(self._meant)
        if self._by_words:
            self._guess = mood_of_words(clause).over(self._guess)
        return SpokenMood(meant=self._meant, guess=self._guess)


def mood_of_words(text: str) -> Mood:
    """What the words of a clause say of its mood; most say nothing."""
    plain = without_marks(text).replace("\u2019", "'")
    return next((mood for pattern, mood in _SAYS if pattern.search(plain)), Mood())
