"""Tokens of an answer to parts of segments: the clock is the number of speech codes.

The model was trained to write 13 text tokens, then speak 26 codes, and so on; when the text has run
out the codes go on. Nothing enforces it, so only codes are counted, never positions. Parts have 4,
4, 4, 4, 4 and 6 codes; the last code so far is held back until more follows or the answer ends, so
that `final` sits on a part with speech. Shapes: T codes, S text slots, D width of a state.
"""

from dataclasses import dataclass

import numpy as np

from proto.messages import HiddenChunk
from proto.time_law import AUDIO_TOKEN_US, SEGMENT_AUDIO_TOKENS
from thinker_server.segments.segmenter import part_tokens
from thinker_server.segments.text_slots import TextSlots, TimedTextToken


@dataclass(frozen=True)
class SpokenCode:
    """A speech code 0..16383 and the state (D,) that predicted it."""

    code: int
    state: np.ndarray


@dataclass(frozen=True)
class TokenPart:
    """What a HiddenChunk carries, before it is addressed to a session and an epoch."""

    first_token: int
    final: bool
    spoken: tuple[SpokenCode, ...]
    first_text_slot: int
    text: tuple[TimedTextToken, ...]

    def message(self, session_id: str, epoch: int, turn: int, with_states: bool) -> HiddenChunk:
        """The wire message; a part without text tokens has no text arrays."""
        text = self.text
        return HiddenChunk(
            session_id=session_id,
            epoch=epoch,
            turn=turn,
            first_token=self.first_token,
            audio_tokens=len(self.spoken),
            first_text_slot=self.first_text_slot,
            final=self.final,
            audio_ids=np.array([one.code for one in self.spoken], np.int32),
            audio_states=np.stack([one.state for one in self.spoken]) if with_states else None,
            text_ids=np.array([token.token_id for token in text], np.int32) if text else None,
            text_states=np.stack([t.state for t in text]) if text and with_states else None,
        )


class TokenSegmenter:
    """Collects the tokens of one answer; gives parts as they fill up."""

    def __init__(self) -> None:
        self._slots = TextSlots()
        self._waiting: list[SpokenCode] = []
        self._given = 0

    @property
    def tokens(self) -> int:
        """Codes so far, given out or waiting."""
        return self._given + len(self._waiting)

    def add_text(self, token_id: int, state: np.ndarray) -> None:
        """The next text token belongs to the segment in which the next code sounds."""
        at_us = self.tokens * AUDIO_TOKEN_US
        self._slots.add(TimedTextToken(token_id, state, at_us))

    def add_code(self, code: int, state: np.ndarray) -> TokenPart | None:
        """The next speech code; the part that is now known to be followed by it."""
        tokens = part_tokens(self._given)
        complete = len(self._waiting) == tokens
        part = self._part(final=False) if complete else None
        self._waiting.append(SpokenCode(code, state))
        return part

    def end(self) -> TokenPart | None:
        """The last part; None if nothing was spoken."""
        return self._part(final=True) if self._waiting else None

    def _part(self, final: bool) -> TokenPart:
        first, spoken = self._given, tuple(self._waiting)
        self._given, self._waiting = first + len(spoken), []
        end_us = self._given * AUDIO_TOKEN_US
        slot, text = self._slots.take(first // SEGMENT_AUDIO_TOKENS, end_us)
        return TokenPart(first, final, spoken, slot, tuple(text))
