"""What was said in a call so far, for its Thinker, and for another agent that goes on with it."""

from collections import deque
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from proto.messages import MAX_TEXT_CHARACTERS, HistoryTurn

KEPT_TURNS = 64
"""As many a Thinker that is opened anew is told."""
MAX_TURNS = 24
MAX_CHARACTERS = 1_000
"""Of each turn. A conversation travels in the metadata of a dispatch: 24 KB at most."""

MAX_NAMES = 16
"""A page sends a typed message again for half a minute; nobody types this many meanwhile."""
MAX_NAME_CHARACTERS = 64

Role = Literal["user", "assistant"]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


class Conversation(BaseModel):
    """As the gateway keeps it while the call is on. `turn` and `epoch`: how far they counted.

    `asked`: the last words are the caller's, and nothing of an answer to them has sounded.
    `read`: names of the typed messages that were read last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turn: Count = 0
    epoch: Count = 0
    asked: bool = False
    said: Annotated[tuple[HistoryTurn, ...], Field(max_length=MAX_TURNS)] = ()
    read: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES)] = ()

    @classmethod
    def of(cls, turn: int, epoch: int, history: "History", *, asked: bool = False) -> Self:
        """The newest words of a history."""
        newest = history.turns[-MAX_TURNS:]
        said = [HistoryTurn(role=h.role, text=h.text[:MAX_CHARACTERS]) for h in newest]
        return cls(turn=turn, epoch=epoch, asked=asked, said=tuple(said), read=tuple(history.read))


class History:
    """The words of both sides as they were heard, oldest first."""

    def __init__(self, earlier: Iterable[HistoryTurn] = (), read: Iterable[str] = ()) -> None:
        self.turns = list(earlier)
        self.read = deque(read, maxlen=MAX_NAMES)
        """Names of the typed messages among them."""
        self._asked_in = 0

    def add(self, role: Role, text: str, *, turn: int = 0, name: str = "") -> None:
        """The newest words; a question of an older `turn` than the last one goes before that."""
        if name:
            self.read.append(name)
        said = HistoryTurn(role=role, text=text[:MAX_TEXT_CHARACTERS])
        late = 0 < turn < self._asked_in and bool(self.turns) and self.turns[-1].role == "user"
        self._asked_in = max(self._asked_in, turn)
        self.turns.insert(len(self.turns) - late, said)
        del self.turns[:-KEPT_TURNS]
