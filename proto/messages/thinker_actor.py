"""From the Thinker to the Actor: the speech that the face is to follow."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from proto.message import Count, Message
from proto.messages.mood import MoodChange
from proto.messages.parts import (
    MAX_PHONES,
    Features,
    Phone,
    Speech,
    TextIds,
    TextStates,
    TokenIds,
    TokenStates,
)
from proto.time_law import SEGMENT_AUDIO_TOKENS, TOKEN_SAMPLES


class HiddenChunk(Message):
    """Thinker -> Actor: a segment of hidden states, or a leading or following part of one.

    Shapes: features (T, 8, mel bins) log-mel of the speech; pcm (T * 1920,) s16 at 24 kHz;
    text_ids (S,) and text_states (S, D) for the text slots that this part adds. Absent states mean
    masked slots. `audio_ids` (T,) replaces pcm and features where the Actor decodes speech itself:
    rows of the speech codebook, from 0.
    Units: `first_token` counts audio tokens from the start of reply `turn`; `first_text_slot`
    counts text slots, 13 to a segment. `phones` begin inside this part and may run past its end.
    `moods`: changes at tokens of this part, in order; absent: the mood stays as it was, which at
    the turn's start is the call's own.
    """

    turn: Count
    first_token: Count
    audio_tokens: Count
    first_text_slot: Count = 0
    final: bool
    phones: Annotated[tuple[Phone, ...], Field(max_length=MAX_PHONES, fail_fast=True)] | None = None
    features: Features | None = None
    pcm: Speech | None = None
    audio_ids: TokenIds | None = None
    audio_states: TokenStates | None = None
    text_ids: TextIds | None = None
    text_states: TextStates | None = None
    moods: (
        Annotated[tuple[MoodChange, ...], Field(max_length=SEGMENT_AUDIO_TOKENS, fail_fast=True)]
        | None
    ) = None

    @model_validator(mode="after")
    def _moods_fit(self) -> Self:
        tokens = [change.first_token for change in self.moods or ()]
        end = self.first_token + self.audio_tokens
        if tokens != sorted(set(tokens)) or any(not self.first_token <= t < end for t in tokens):
            raise ValueError(f"moods at tokens {tokens} of a part from {self.first_token} to {end}")
        return self

    @model_validator(mode="after")
    def _speech_fits(self) -> Self:
        speech = [a for a in (self.features, self.audio_ids, self.audio_states) if a is not None]
        if any(len(array) != self.audio_tokens for array in speech):
            raise ValueError(f"parts disagree with audio_tokens={self.audio_tokens}")
        if self.pcm is not None and len(self.pcm) != self.audio_tokens * TOKEN_SAMPLES:
            raise ValueError(
                f"pcm has {len(self.pcm)} samples, {self.audio_tokens} tokens need "
                f"{self.audio_tokens * TOKEN_SAMPLES}"
            )
        if self.audio_tokens and self.pcm is None and self.audio_ids is None:
            raise ValueError("speech needs pcm or audio_ids")
        if self.audio_ids is not None and (self.audio_ids < 0).any():
            raise ValueError("audio_ids count from 0")
        return self
