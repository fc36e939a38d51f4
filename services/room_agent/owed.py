"""What the caller is owed when an engine or an agent was lost: an answer, or an apology. Pure."""

from dataclasses import dataclass

MAX_ASKED_AGAIN = 2
"""A question that an engine dies of would be asked for ever."""
CUT_OFF = "Sorry, that answer was cut off. Please ask again."
UNHEARD = "Sorry, I was away for a moment. Please say that again."


@dataclass(frozen=True)
class AskAgain:
    """The engines shall be asked this once more."""

    question: str


@dataclass(frozen=True)
class Apologise:
    """The caller shall read this."""

    text: str


class Owed:
    """The caller's last question, until its answer sounds."""

    def __init__(self) -> None:
        self.question = ""
        """Its words as far as they are known; empty once the answer sounds."""
        self._before = ""
        """What was asked before it, whose answer was cut into before it sounded."""
        self._due = False
        self._excuse = UNHEARD
        self._asked_again = 0

    def asked(self, question: str = "") -> None:
        """The caller begins to ask; what was asked before is owed only if no words come."""
        self._before = "" if question else self.unanswered
        self.question = question
        self._due = False
        self._asked_again = 0

    def understood(self, question: str, *, late: bool = False) -> None:
        """The words of what was asked, or that there are none; `late`: of what was asked before."""
        if late:
            self._before = question or self._before
        else:
            self.question = question or self._before

    @property
    def unanswered(self) -> str:
        """The last words of the caller's of whose answer nothing has sounded."""
        return self.question or self._before

    def answered(self) -> None:
        """The answer sounds: it is not told from its beginning again."""
        self.question = self._before = ""

    def broke_off(self, *, began: bool) -> None:
        """No more of the answer comes; `began`: the caller has heard a part of it."""
        self._due = True
        self._excuse = CUT_OFF if began else UNHEARD

    def taken_over(self, question: str) -> None:
        """An agent died: with this question, or with what was said while nobody was there."""
        self.question = question
        self._due = True

    @property
    def will_ask(self) -> bool:
        """Whether the question is about to be asked again."""
        return self._due and bool(self.question)

    def settle(self) -> AskAgain | Apologise | None:
        """Both engines are there: what is to be done now, once. None: nothing is owed."""
        if not self._due:
            return None
        self._due = False
        if self.question and self._asked_again < MAX_ASKED_AGAIN:
            self._asked_again += 1
            return AskAgain(self.question)
        return Apologise(self._excuse)
