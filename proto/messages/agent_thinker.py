"""Between agent and Thinker: what the caller does, and what is answered."""

from typing import Literal

from proto.message import Count, Message, Micros
from proto.messages.parts import HeardBlock, ImageFile, Text


class TurnBoundary(Message):
    """Agent -> Thinker: the caller's turn `started`, `paused` (it may be over: speculate), or
    `ended` (answer now, as reply `turn` in this message's epoch). `started` after `paused` in the
    same turn means that the caller went on.
    """

    phase: Literal["started", "paused", "ended"]
    turn: Count


class UserAudio(Message):
    """Agent -> Thinker: 20 ms of the caller, 16 kHz mono s16, (320,)."""

    pts_us: Micros
    pcm: HeardBlock


class UserText(Message):
    """Agent -> Thinker: the caller typed; answer as reply `turn` in this message's epoch."""

    text: Text
    turn: Count


class UserFrame(Message):
    """Agent -> Thinker: the caller's camera, one JPEG file (N,), for visual perception."""

    pts_us: Micros
    jpeg: ImageFile


class Transcript(Message):
    """Thinker -> agent: what the caller said, as far as it is known; `final` closes the turn."""

    turn: Count
    text: Text
    final: bool


class TextDelta(Message):
    """Thinker -> agent: words of reply `turn`, spoken from audio token `first_token` on."""

    turn: Count
    text: Text
    first_token: Count


class TurnState(Message):
    """Thinker -> agent: what the Thinker does with reply `turn` now."""

    turn: Count
    state: Literal["transcribing", "thinking", "speaking"]


class TurnEnd(Message):
    """Thinker -> agent: nothing more comes for reply `turn`; it has `audio_tokens` in all.

    `empty`: nothing was understood, so nothing is said.
    """

    turn: Count
    audio_tokens: Count
    reason: Literal["completed", "interrupted", "empty", "failed"]
