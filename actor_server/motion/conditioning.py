"""A chunk's condition as arrays of fixed shape: the same bytes in training and in a call.

Dimension letters: V visible audio slots (A + 4 + L), H heard slots, S text slots, D state width.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.cues import Cues
from actor_server.motion.phone_lips import SUBSTITUTES, SYMBOLS
from actor_server.motion.source import Condition, Floats, Kind, SpeechWindow
from actor_server.motion.source import Visibility as Visibility
from proto.messages import Phone
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import (
    AUDIO_TOKEN_US,
    CHUNK_AUDIO_TOKENS,
    CHUNK_FRAMES,
    CHUNK_US,
    SEGMENT_AUDIO_TOKENS,
    SEGMENT_TEXT_SLOTS,
    tokens_to_us,
)

FEATURE_DIM: Final = TOKEN_MEL_FRAMES * MEL_BINS
PHONE_BINS: Final = 4
"""Phones are sampled in the middle of each 20 ms of an audio slot."""
PHONE_BIN_US: Final = AUDIO_TOKEN_US // PHONE_BINS
UNKNOWN_PHONE: Final = 0
PHONE_IDS: Final = {symbol: index + 1 for index, symbol in enumerate(SYMBOLS)}
PHONES: Final = len(PHONE_IDS) + 1
"""Number of phone ids, UNKNOWN_PHONE included."""
HEARD_SLOTS: Final = CHUNK_AUDIO_TOKENS
TEXT_SLOTS: Final = 2 * SEGMENT_TEXT_SLOTS
"""A chunk that straddles two segments sees the text of both."""
KINDS: Final[tuple[Kind, ...]] = ("speaking", "listening", "idle")
CUES: Final = ("loudness", "pitch", "accent", "phrase_ended")
"""Of each frame, as `Heard` has them; the last two fade after their frame instead of vanishing."""
CUE_NUMBERS: Final = len(CUES)
FADING: Final = 0.88
"""From frame to frame: a third is left after 8 frames, as long as a nod takes to come."""


@dataclass(frozen=True)
class ConditionArrays:
    """One chunk's condition. What is not `seen` is zero and must not matter.

    audio (V, 640) float16 log-mel of the speech, or (V, D) states where the model sees those,
    audio_seen (V,) bool; row A is the chunk's own first token. phones (V, 4) uint8 ids,
    UNKNOWN_PHONE where the voice gives none. heard (H, 640) float16 of the caller's voice since the
    chunk before, the latest last; heard_seen (H,) bool. text (S, D) float16 states, text_seen (S,)
    bool, text_at (S,) float32: their time in chunks from the chunk's start. kind: index into KINDS.
    cues (C, 4) float16: `CUES`, what an ear that has followed the call makes of each frame of the
    voice that counts.
    """

    audio: NDArray[np.float16]
    audio_seen: NDArray[np.bool_]
    phones: NDArray[np.uint8]
    heard: NDArray[np.float16]
    heard_seen: NDArray[np.bool_]
    text: NDArray[np.float16]
    text_seen: NDArray[np.bool_]
    text_at: NDArray[np.float32]
    kind: int
    cues: NDArray[np.float16]


@dataclass
class ConditionReader:
    """Makes arrays of a call's chunks, in their order: its ear remembers the voices."""

    sight: Visibility
    ear: Cues = field(default_factory=Cues)
    recent: Floats = field(default_factory=lambda: np.zeros(2, np.float32))
    """Accent and end of a phrase, as far as they have not faded."""

    def read(self, condition: Condition) -> ConditionArrays:
        """The arrays of the next chunk. Raises ValueError for a window of another visibility."""
        return condition_arrays(condition, self.sight, self._cues(condition))

    def _cues(self, condition: Condition) -> NDArray[np.float16]:
        rows = []
        for loudness, accent, phrase_ended, pitch in (c.heard for c in self.ear.read(condition)):
            now = np.array([accent, phrase_ended], np.float32)
            self.recent = np.maximum(now, np.float32(FADING) * self.recent)
            rows.append([loudness, pitch, *self.recent])
        return np.array(rows, np.float16)


def condition_arrays(
    condition: Condition, sight: Visibility, cues: NDArray[np.float16] | None = None
) -> ConditionArrays:
    """The arrays of one chunk; without `cues` (C, 4), of a model that is told none.

    Raises ValueError for a window of another visibility.
    """
    heard, heard_seen = _heard(condition.heard.features)
    speech = condition.speech
    audio = np.zeros((sight.slots, audio_width(sight)), np.float16)
    seen = np.zeros(sight.slots, np.bool_)
    phones = np.full((sight.slots, PHONE_BINS), UNKNOWN_PHONE, np.uint8)
    text = np.zeros((TEXT_SLOTS, sight.state_width), np.float16)
    text_seen = np.zeros(TEXT_SLOTS, np.bool_)
    text_at = np.zeros(TEXT_SLOTS, np.float32)
    if speech is not None:
        if (len(speech.heard), speech.history_tokens) != (sight.slots, sight.history_tokens):
            raise ValueError(
                f"a window of {len(speech.heard)} tokens with {speech.history_tokens} of history "
                f"came to a model that sees {sight.slots} with {sight.history_tokens}"
            )
        if not sight.audio_states:
            audio, seen = speech.features.reshape(audio.shape).astype(np.float16), speech.heard
        elif speech.audio_states is not None and speech.audio_states.shape == audio.shape:
            audio, seen = speech.audio_states, speech.heard
        if speech.phones is not None:
            phones = np.where(speech.heard[:, None], _phone_ids(speech, sight.slots), UNKNOWN_PHONE)
            phones = phones.astype(np.uint8)
        if speech.text_states is not None:
            _place_text(speech, text, text_seen, text_at)
    kind = KINDS.index(condition.kind)
    if cues is None:
        cues = np.zeros((CHUNK_FRAMES, CUE_NUMBERS), np.float16)
    return ConditionArrays(
        audio, seen, phones, heard, heard_seen, text, text_seen, text_at, kind, cues
    )


def audio_width(sight: Visibility) -> int:
    """Width of what is seen of an audio token."""
    return sight.state_width if sight.audio_states else FEATURE_DIM


def _heard(features: Floats) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    latest = features[-HEARD_SLOTS:].reshape(-1, FEATURE_DIM)
    heard = np.zeros((HEARD_SLOTS, FEATURE_DIM), np.float16)
    seen = np.zeros(HEARD_SLOTS, np.bool_)
    if len(latest):
        heard[-len(latest) :] = latest
        seen[-len(latest) :] = True
    return heard, seen


def _phone_ids(speech: SpeechWindow, slots: int) -> NDArray[np.uint8]:
    """(V, 4): the phone that sounds in the middle of each bin."""
    begin_us = speech.start_us - tokens_to_us(speech.history_tokens)
    middles = begin_us + PHONE_BIN_US // 2 + PHONE_BIN_US * np.arange(slots * PHONE_BINS)
    ids = np.full(len(middles), UNKNOWN_PHONE, np.uint8)
    for phone in speech.phones or ():
        ids[(middles >= phone.start_us) & (middles < phone.end_us)] = _phone_id(phone)
    return ids.reshape(slots, PHONE_BINS)


def _phone_id(phone: Phone) -> int:
    symbol = SUBSTITUTES.get(phone.symbol, phone.symbol)
    return PHONE_IDS.get(symbol, UNKNOWN_PHONE)


def _place_text(
    speech: SpeechWindow,
    text: NDArray[np.float16],
    seen: NDArray[np.bool_],
    at: NDArray[np.float32],
) -> None:
    """Fill in the states; text slot i of segment g lies at 6.5 g + i / 2 chunks of its turn."""
    assert speech.text_states is not None
    states = speech.text_states
    if states.shape[1] != text.shape[1]:
        return  # another brain's states: its slots stay masked
    segment_chunks = SEGMENT_AUDIO_TOKENS / CHUNK_AUDIO_TOKENS
    base = speech.first_token // SEGMENT_AUDIO_TOKENS * SEGMENT_TEXT_SLOTS
    for slot, state in zip(speech.text_slots, states, strict=True):
        if 0 <= slot - base < TEXT_SLOTS:
            segment, index = divmod(slot, SEGMENT_TEXT_SLOTS)
            text[slot - base], seen[slot - base] = state, True
            at[slot - base] = segment_chunks * segment + index / 2 - speech.start_us / CHUNK_US
