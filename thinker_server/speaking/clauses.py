"""Cutting a growing reply into clauses, so that speech starts before the answer is complete."""

import re
from dataclasses import dataclass

from thinker_server.speaking.mood import OPEN_MARK, without_marks

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st mt jr sr vs etc e.g i.e approx gen gov sen rep capt lt col sgt".split()
)
FUNCTION_WORDS = frozenset(
    "and but or so because which who that when where while if as than with from for to of in on at "
    "by about into is are was were".split()
)
"""A clause that must be cut without punctuation is cut before one of these."""
SHORTEST_CLAUSE_WORDS = 4
LONGEST_CLAUSE_WORDS = 22
_FENCE = "```"
_CODE = re.compile(r"```.*?```", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?…]+[\"”’')*_\]]*(?=\s|$)|\n+")
_CLAUSE_END = re.compile(r"(?<!\d)[,;:—][\"”’')*_]*(?=\s|$)|\s[–—-]+(?=\s)")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Clause:
    """A stretch [start, end) of the reply's text that is spoken in one breath."""

    text: str
    start: int
    ends_sentence: bool


class ClauseCutter:
    """Takes text as it is generated and gives clauses as soon as they are whole."""

    def __init__(self, first_clause_words: int) -> None:
        self._first_words = first_clause_words
        self._text = ""
        self._start = 0
        self._given = 0
        self.sentences = 0

    @property
    def clauses(self) -> int:
        """Clauses given so far."""
        return self._given

    def push(self, piece: str) -> list[Clause]:
        """Append text; returns the clauses that are whole now."""
        self._text += piece
        clauses = []
        while (end := self._next_end()) is not None:
            clauses.append(self._cut(*end))
        return [clause for clause in clauses if clause.text.strip()]

    def finish(self) -> list[Clause]:
        """What is left when the reply is over."""
        if not self._text[self._start :].strip():
            return []
        return [self._cut(len(self._text), ends_sentence=True)]

    def _cut(self, end: int, ends_sentence: bool) -> Clause:
        clause = Clause(self._text[self._start : end], self._start, ends_sentence)
        self._start = end
        if clause.text.strip():
            self._given += 1
            self.sentences += ends_sentence
        return clause

    def _next_end(self) -> tuple[int, bool] | None:
        """Where the next clause ends, and whether a sentence ends there."""
        rest = _CODE.sub(lambda code: "x" * len(code.group()), self._text[self._start :])
        if _FENCE in rest:
            return None  # an open block of code: it must reach the cleaner whole
        rest = OPEN_MARK.sub("", without_marks(rest))  # marks are no words, nor cut in two
        sentence = self._sentence_end(rest)
        clause = self._clause_end(rest)
        if sentence is not None and (clause is None or sentence <= clause):
            return self._start + sentence, True
        if clause is not None:
            return self._start + clause, False
        return None

    def _sentence_end(self, rest: str) -> int | None:
        for match in _SENTENCE_END.finditer(rest):
            before = rest[: match.start()].split()
            last = before[-1].lower().lstrip("(\"'“‘") if before else ""
            if not before:
                continue
            if match.group().startswith(".") and not self._full_stop(rest, match, last):
                continue
            return match.end()
        return None

    def _full_stop(self, rest: str, match: re.Match[str], last: str) -> bool:
        """A full stop ends a sentence unless it abbreviates, numbers a list, or may go on."""
        if match.end() == len(rest):
            return False  # "3." may become "3.5": wait for what follows
        return not (
            last in ABBREVIATIONS
            or len(last) == 1
            or (last.isdigit() and rest.split()[0] == f"{last}.")
        )

    def _clause_end(self, rest: str) -> int | None:
        words = list(_WORD.finditer(rest))
        fewest = 1 if self._given == 0 else SHORTEST_CLAUSE_WORDS
        for match in _CLAUSE_END.finditer(rest):
            if len(rest[: match.end()].split()) >= fewest:
                return match.end()
        most = self._first_words if self._given == 0 else LONGEST_CLAUSE_WORDS
        if len(words) <= most:
            return None
        for count in range(most - 1, most // 2, -1):
            if words[count].group().lower() in FUNCTION_WORDS:
                return words[count].start()
        return words[most].start()
