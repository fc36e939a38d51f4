"""The speech of one reply, cut into chunks by counting audio tokens.

Dimension letters: T audio tokens of a part, V visible tokens, S text slots, D state width.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.errors import SpeechRefused
from actor_server.motion.source import SpeechWindow
from proto.messages import HiddenChunk, MoodChange, Phone, SpokenMood
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import (
    CHUNK_AUDIO_TOKENS,
    CHUNK_SAMPLES,
    SEGMENT_AUDIO_TOKENS,
    SEGMENT_TEXT_SLOTS,
    TOKEN_SAMPLES,
    tokens_to_us,
)

MAX_QUEUED_TOKENS: Final = 4500
"""Six minutes of speech, 23 MB; a reply is seconds long."""
PHONE_MEMORY_US: Final = 1_000_000
"""A chunk sees phones this long before and after it: coarticulation looks both ways."""


@dataclass(frozen=True)
class _Token:
    """One audio token: pcm (TOKEN_SAMPLES,) s16, features (8, MEL_BINS) and state (D,) or None."""

    pcm: NDArray[np.int16]
    features: NDArray[np.float16] | None
    state: NDArray[np.float16] | None


@dataclass(frozen=True)
class SpeechCut:
    """What sounds in one chunk: pcm (CHUNK_SAMPLES,) s16 and what the motion may see of it.

    `moods`: those of its CHUNK_AUDIO_TOKENS tokens.
    """

    pcm: NDArray[np.int16]
    window: SpeechWindow
    moods: tuple[SpokenMood, ...]


class TurnSpeech:
    """The audio tokens, phones and text states of one reply, in order and bounded."""

    def __init__(self, turn: int, history_tokens: int, lookahead_tokens: int) -> None:
        self.turn = turn
        self.final = False
        self.spoken_tokens = 0
        """Tokens cut so far: the turn's clock, which stands still while speech is late."""
        self.mood = SpokenMood()
        """That of the last token cut; what is open in it is the call's own."""
        self._moods: deque[MoodChange] = deque()
        self._history_tokens = history_tokens
        self._lookahead_tokens = lookahead_tokens
        self._tokens: deque[_Token] = deque()
        self._first = 0
        """Number of the turn's token that `_tokens` begins with."""
        self._phones: deque[Phone] = deque()
        self._phones_given = False
        self._text: deque[tuple[int, NDArray[np.float16]]] = deque()

    @property
    def received_tokens(self) -> int:
        return self._first + len(self._tokens)

    @property
    def finished(self) -> bool:
        """Everything of the turn was cut."""
        return self.final and self.spoken_tokens >= self.received_tokens

    @property
    def ready(self) -> bool:
        """Whether the next chunk's tokens and look-ahead are there."""
        return self._holds(CHUNK_AUDIO_TOKENS + self._lookahead_tokens)

    @property
    def playable(self) -> bool:
        """Whether the next chunk's own tokens are there: it can be cut, seeing less ahead."""
        return self._holds(CHUNK_AUDIO_TOKENS)

    def _holds(self, tokens: int) -> bool:
        waiting = self.received_tokens - self.spoken_tokens
        return waiting > 0 if self.final else waiting >= tokens

    def extend(self, part: HiddenChunk) -> None:
        """Append a part. Raises SpeechRefused when it leaves a gap or brings nothing to play."""
        if part.first_token != self.received_tokens or self.final:
            raise SpeechRefused(
                f"reply {self.turn} has {self.received_tokens} audio tokens"
                f"{' and is closed' if self.final else ''}, this part begins at {part.first_token}"
            )
        if part.audio_tokens and part.pcm is None:
            raise SpeechRefused("this Actor plays pcm; audio_ids need a speech decoder")
        if len(self._tokens) + part.audio_tokens > MAX_QUEUED_TOKENS:
            raise SpeechRefused(f"more than {MAX_QUEUED_TOKENS} audio tokens wait to be spoken")
        for index in range(part.audio_tokens):
            samples = slice(index * TOKEN_SAMPLES, (index + 1) * TOKEN_SAMPLES)
            assert part.pcm is not None
            features = None if part.features is None else part.features[index]
            state = None if part.audio_states is None else part.audio_states[index]
            self._tokens.append(_Token(part.pcm[samples], features, state))
        if part.phones is not None:
            self._phones_given = True
            self._phones.extend(part.phones)
        if part.text_states is not None:
            self._text.extend(
                (part.first_text_slot + slot, state) for slot, state in enumerate(part.text_states)
            )
        self._moods.extend(part.moods or ())
        self.final = part.final

    def cut(self) -> SpeechCut:
        """Take the next chunk. Only when `playable`."""
        first = self.spoken_tokens
        count = min(CHUNK_AUDIO_TOKENS, self.received_tokens - first)
        pcm = np.zeros(CHUNK_SAMPLES, np.int16)
        for index in range(count):
            token = self._tokens[first - self._first + index]
            pcm[index * TOKEN_SAMPLES : (index + 1) * TOKEN_SAMPLES] = token.pcm
        window = self._window(first, count)
        moods = tuple(self._mood_at(first + index) for index in range(CHUNK_AUDIO_TOKENS))
        self.spoken_tokens = first + count
        self._forget()
        return SpeechCut(pcm, window, moods)

    def _mood_at(self, token: int) -> SpokenMood:
        """That of a token; tokens must come in order."""
        while self._moods and self._moods[0].first_token <= token:
            self.mood = self._moods.popleft().mood
        return self.mood

    def _window(self, first: int, count: int) -> SpeechWindow:
        visible = self._history_tokens + CHUNK_AUDIO_TOKENS + self._lookahead_tokens
        features = np.zeros((visible, TOKEN_MEL_FRAMES, MEL_BINS), np.float32)
        heard = np.zeros(visible, np.bool_)
        states: dict[int, NDArray[np.float16]] = {}
        for row in range(visible):
            index = first - self._history_tokens + row - self._first
            if 0 <= index < len(self._tokens):
                token = self._tokens[index]
                heard[row] = token.features is not None
                if token.features is not None:
                    features[row] = token.features
                if token.state is not None:
                    states[row] = token.state
        slots, text_states = self._visible_text(first, count)
        horizon_us = tokens_to_us(first + CHUNK_AUDIO_TOKENS) + PHONE_MEMORY_US
        near = tuple(phone for phone in self._phones if phone.start_us < horizon_us)
        return SpeechWindow(
            turn=self.turn,
            first_token=first,
            audio_tokens=count,
            history_tokens=self._history_tokens,
            features=features,
            heard=heard,
            audio_states=_rows(states, visible) if len(states) == heard.sum() else None,
            phones=near if self._phones_given else None,
            text_slots=slots,
            text_states=text_states,
            last=self.final and first + count >= self.received_tokens,
        )

    def _visible_text(
        self, first: int, count: int
    ) -> tuple[tuple[int, ...], NDArray[np.float16] | None]:
        """The text slots of the segments that the chunk touches."""
        low = first // SEGMENT_AUDIO_TOKENS * SEGMENT_TEXT_SLOTS
        last_segment = (first + max(count, 1) - 1) // SEGMENT_AUDIO_TOKENS
        high = (last_segment + 1) * SEGMENT_TEXT_SLOTS
        seen = [(slot, state) for slot, state in self._text if low <= slot < high]
        if not seen:
            return (), None
        slots, states = zip(*seen, strict=True)
        return slots, np.stack(states)

    def _forget(self) -> None:
        """Drop what no later chunk may see."""
        oldest = self.spoken_tokens - self._history_tokens
        while self._tokens and self._first < oldest:
            self._tokens.popleft()
            self._first += 1
        horizon_us = tokens_to_us(self.spoken_tokens) - PHONE_MEMORY_US
        while self._phones and self._phones[0].end_us < horizon_us:
            self._phones.popleft()
        oldest_slot = self.spoken_tokens // SEGMENT_AUDIO_TOKENS * SEGMENT_TEXT_SLOTS
        while self._text and self._text[0][0] < oldest_slot:
            self._text.popleft()


def _rows(states: dict[int, NDArray[np.float16]], count: int) -> NDArray[np.float16] | None:
    """(count, D) with zeros between; None where there are none, or of more than one width."""
    widths = {len(state) for state in states.values()}
    if len(widths) != 1:
        return None
    rows = np.zeros((count, widths.pop()), np.float16)
    for row, state in states.items():
        rows[row] = state
    return rows


def silent_pcm() -> NDArray[np.int16]:
    """One chunk of silence, (CHUNK_SAMPLES,)."""
    return np.zeros(CHUNK_SAMPLES, np.int16)
