"""Every message of the product, by the road it travels. Prose: docs/protocol.md.

One file, though longer than our others: the whole protocol is read at one sitting.

Dimension letters: T audio tokens, S text slots, D width of a text state, N samples or bytes.
"""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from proto.message import MAX_COUNT, Count, Message, Micros, Name, WireModel
from proto.portrait_code import PortraitCode
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.tensor import Tensor
from proto.time_law import (
    CHUNK_FRAMES,
    CHUNK_SAMPLES,
    FRAME_WIDTH,
    HEARING_BLOCK_SAMPLES,
    I420_ROWS,
    SEGMENT_AUDIO_TOKENS,
    TOKEN_SAMPLES,
)

MAX_TEXT_CHARACTERS = 32_768
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^(ipc|tcp|inproc)://.+$", max_length=512)]
MAX_IMAGE_BYTES = 32 * 1024 * 1024
MAX_HISTORY_TURNS = 256
MAX_PHONES = 1024
MAX_LABELS = 64

ImageFile = Annotated[np.ndarray, Tensor("uint8", ("N",), max_bytes=MAX_IMAGE_BYTES)]
Features = Annotated[np.ndarray, Tensor("float16", ("T", TOKEN_MEL_FRAMES, MEL_BINS))]
Speech = Annotated[np.ndarray, Tensor("int16", ("N",))]
TokenIds = Annotated[np.ndarray, Tensor("int32", ("T",))]
TokenStates = Annotated[np.ndarray, Tensor("float16", ("T", "D"))]
TextIds = Annotated[np.ndarray, Tensor("int32", ("S",))]
TextStates = Annotated[np.ndarray, Tensor("float16", ("S", "D"))]
HeardBlock = Annotated[np.ndarray, Tensor("int16", (HEARING_BLOCK_SAMPLES,))]
ChunkSpeech = Annotated[np.ndarray, Tensor("int16", (CHUNK_SAMPLES,))]
ChunkFrames = Annotated[np.ndarray, Tensor("uint8", (CHUNK_FRAMES, I420_ROWS, FRAME_WIDTH))]


class HistoryTurn(WireModel):
    """One earlier turn of the conversation, as it was heard."""

    role: Literal["user", "assistant"]
    text: Text


class Phone(WireModel):
    """One speech sound, times from the start of the turn's speech. `symbol` is ARPAbet or SIL."""

    symbol: Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}$")]
    start_us: Micros
    end_us: Micros


Expression = Literal["neutral", "warm", "serious", "surprised"]


class Mood(WireModel):
    """How a face looks and where its head points, besides what it does anyway.

    What is None is as in the mood beneath: a clause's lies over its call's, that over a neutral
    face that looks ahead. `strength` belongs to the expression. Degrees off the head's own motion:
    positive yaw to the left of the picture, positive pitch down; the eyes go with the head.
    """

    expression: Expression | None = None
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    yaw_deg: Annotated[float, Field(ge=-10, le=10)] | None = None
    pitch_deg: Annotated[float, Field(ge=-6, le=6)] | None = None

    def over(self, beneath: "Mood") -> "Mood":
        """This mood where it says something, elsewhere the one beneath."""
        felt = self if self.expression is not None else beneath
        return Mood(
            expression=felt.expression,
            strength=felt.strength,
            yaw_deg=beneath.yaw_deg if self.yaw_deg is None else self.yaw_deg,
            pitch_deg=beneath.pitch_deg if self.pitch_deg is None else self.pitch_deg,
        )


class MoodChange(WireModel):
    """From this audio token of the turn on the face is in this mood."""

    first_token: Count
    mood: Mood


# --- agent -> engines: the life of a session -----------------------------------------------------


class Ping(Message):
    """Anyone -> engine: answered with EngineStatus once the engine is ready to open sessions."""


class OpenThinkerSession(Message):
    """Agent -> Thinker: begin a conversation."""

    name: Name
    persona: Text = ""
    voice: Name
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    history: Annotated[
        tuple[HistoryTurn, ...], Field(max_length=MAX_HISTORY_TURNS, fail_fast=True)
    ] = ()
    actor_endpoint: Endpoint


class OpenActorSession(Message):
    """Agent -> Actor: begin to render one portrait. `portrait` is an image file's bytes (N,)."""

    portrait: ImageFile
    seed: Count = 0


class CloseSession(Message):
    """Agent -> engine: free everything that belongs to the session."""


class SessionReady(Message):
    """Engine -> agent: the session is open. `labels` tell people what runs (brain, voice, ...)."""

    engine: Literal["thinker", "actor"]
    labels: dict[Name, Text] = Field(default_factory=dict, max_length=MAX_LABELS)


class EngineStatus(Message):
    """Engine -> anyone: measured load. Real-time factor = work seconds per media second.

    `degradation_step`: how much work the call saves that saves most, 0 nothing to 4 a still face.
    """

    engine: Literal["thinker", "actor"]
    real_time_factor: Annotated[float, Field(ge=0)]
    queue_depth: Count
    sessions: Count
    degradation_step: Count = 0
    labels: dict[Name, Text] = Field(default_factory=dict, max_length=MAX_LABELS)


# --- gateway <-> Actor: portraits ----------------------------------------------------------------


class CheckPortrait(Message):
    """Gateway -> Actor: may this image (file bytes, (N,)) become an avatar?"""

    image: ImageFile


class PortraitChecked(Message):
    """Actor -> gateway: the verdict, its measurements, and the 512x512 crop as a PNG when ok."""

    code: PortraitCode
    hint: Text = ""
    checks: dict[Name, float] = Field(default_factory=dict, max_length=MAX_LABELS)
    crop: ImageFile | None = None


# --- agent -> Thinker: what the caller does ------------------------------------------------------


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


class Interrupt(Message):
    """Agent -> Thinker, Actor: everything older than this epoch is void.

    The Thinker cuts its context to the first `heard_tokens` audio tokens of reply `turn`; the Actor
    drops what was rendered after chunk `last_shown_chunk` (-1: none was shown) and goes on there.
    """

    turn: Count
    heard_tokens: Count
    last_shown_chunk: Annotated[int, Field(ge=-1, le=MAX_COUNT)]


# --- agent -> Actor ------------------------------------------------------------------------------


class Listen(Message):
    """Agent -> Actor: speech features of the caller, for listening behaviour, (T, 8, mel bins)."""

    speaking: bool
    features: Features


class Grant(Message):
    """Agent -> Actor: the Actor may render this many chunks more."""

    credit: Annotated[int, Field(ge=1, le=64)]


class SetMood(Message):
    """Agent -> Actor: the call's own mood from the next chunk on; replies may lay theirs over it.

    Faces of pixels (the LTX codec) ignore it: decision 12.
    """

    mood: Mood


# --- Thinker -> agent ----------------------------------------------------------------------------


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


# --- Thinker -> Actor ----------------------------------------------------------------------------


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


# --- Actor -> agent ------------------------------------------------------------------------------


class AVChunk(Message):
    """Actor -> agent: 0.32 s of speech and face.

    Shapes: pcm (7680,) s16 at 24 kHz; frames (8, 384, 256) I420.
    `first_token` and `audio_tokens` say which audio tokens of reply `turn` sound in it (0 tokens:
    it is silent). `last` marks the chunk that holds the reply's last token. `motion_level` 0-1.
    """

    chunk: Count
    pts_us: Micros
    turn: Count
    first_token: Count
    audio_tokens: Annotated[int, Field(ge=0, le=4)]
    last: bool = False
    motion_level: Annotated[float, Field(ge=0)]
    pcm: ChunkSpeech
    frames: ChunkFrames


# --- anyone -> agent or gateway ------------------------------------------------------------------


class Failure(Message):
    """Something went wrong: a stable `code`, a `message` for a person, and whether to try again."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    message: Text
    retryable: bool


ALL_MESSAGES: tuple[type[Message], ...] = (
    Ping,
    OpenThinkerSession,
    OpenActorSession,
    CloseSession,
    SessionReady,
    EngineStatus,
    CheckPortrait,
    PortraitChecked,
    TurnBoundary,
    UserAudio,
    UserText,
    UserFrame,
    Interrupt,
    Listen,
    Grant,
    SetMood,
    Transcript,
    TextDelta,
    TurnState,
    TurnEnd,
    HiddenChunk,
    AVChunk,
    Failure,
)
