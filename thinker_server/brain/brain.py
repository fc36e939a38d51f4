"""The seam of chat models. Dimension letters: D width of a hidden state."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class ChatMessage:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True)
class BrainToken:
    """One generated token: its id and the text that it adds.

    `state` (D,) float16 is the last hidden layer after its final norm, at the position that
    predicted this token, i.e. exactly what the model's head read. Absent: the slot is masked.
    """

    token_id: int
    text: str
    state: np.ndarray | None = None


@dataclass(frozen=True)
class BrainLabel:
    """What runs, why, and how to run another one; for people."""

    name: str
    why: str
    how_to_change: str = (
        "set brain in [thinker] of xstreamer.toml (or XSTREAMER_THINKER_BRAIN) to a Hugging Face "
        "causal LM id or directory, or to `openai` with openai_base_url and openai_model"
    )


class Conversation(Protocol):
    """One session's side of a brain; it may keep a cache between turns. One reply at a time."""

    def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[BrainToken, None]:
        """Tokens of the answer to `messages`. Closing the generator stops the brain at once."""
        ...

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """Take `messages` in ahead of time, so that a reply to more of them starts sooner.

        Cancelled, it leaves what was taken in by then.
        """
        ...

    async def close(self) -> None:
        """Free the conversation's memory."""
        ...


class Brain(Protocol):
    """A chat model shared by all sessions."""

    @property
    def label(self) -> BrainLabel:
        """What runs and why."""
        ...

    def open(self) -> Conversation:
        """A new conversation with memory of its own."""
        ...

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """How much of the context these messages fill."""
        ...

    async def close(self) -> None:
        """Free what the brain holds."""
        ...
