"""The seam between a session and what answers in it: one mind for each session.

Two minds exist: a chat model with a recogniser and a voice (answer.py), and GLM-4-Voice, which
hears and speaks itself (glm4voice/).
"""

from typing import Protocol, TypeVar

from thinker_server.hearing.recogniser import HearingStream, Recogniser
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Outlet
from thinker_server.seeing.glance import Sight
from thinker_server.trace import Trace
from thinker_server.workers import Workers


class QuestionAndAnswer(Protocol):
    """One exchange of the conversation. `turn` changes when a speculation becomes wanted."""

    turn: int

    @property
    def asked(self) -> bool:
        """Whether there is anything to answer."""
        ...

    @property
    def wants_speech(self) -> bool:
        """Whether what was heard in the open turn belongs to the question."""
        ...

    @property
    def audio_tokens(self) -> int:
        """Audio tokens of the answer given out so far."""
        ...

    def take_in(self, text: str, stream: HearingStream) -> None:
        """What the caller said: its text, and the stream that heard it."""
        ...

    def see(self, words: str) -> None:
        """What the caller's camera shows."""
        ...

    def cut(self, heard_tokens: int) -> None:
        """The caller interrupted after this many audio tokens; an earlier cut stays."""
        ...


E = TypeVar("E", bound=QuestionAndAnswer)


class Mind(Protocol[E]):
    """Hears turns out, answers them, and remembers the conversation as the caller heard it."""

    @property
    def recogniser(self) -> Recogniser:
        """What listens to the caller."""
        ...

    @property
    def sight(self) -> Sight | None:
        """What describes the caller's camera; None: nothing does."""
        ...

    @property
    def workers(self) -> Workers:
        """Threads for slow work."""
        ...

    @property
    def metrics(self) -> ThinkerMetrics:
        """Where to count."""
        ...

    async def warm(self) -> None:
        """Take in what is known before the next question; may be cancelled for it."""
        ...

    def exchange(self, turn: int, typed: str = "") -> E:
        """A new exchange, not yet part of the conversation."""
        ...

    def take_up(self, wordless: E) -> bool:
        """Give an exchange without words the question before, if nobody heard an answer to it."""
        ...

    def remember(self, exchange: E) -> None:
        """The exchange now belongs to the conversation."""
        ...

    def recall(self, turn: int) -> E | None:
        """The latest exchange of that turn."""
        ...

    async def reply(self, session_id: str, exchange: E, outlet: Outlet, trace: Trace) -> None:
        """Answer, and put speech and words into the outlet. Raises ThinkerError."""
        ...

    async def close(self) -> None:
        """Free the session's memory."""
        ...
