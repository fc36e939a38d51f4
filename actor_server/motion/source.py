"""The seam between an engine and whatever moves the face: conditions in, motion latents out.

A source that needs several chunks in flight (diffusion) has `window` > 1 and answers None until the
oldest of them is clean; one that does not has `window` 1 and always answers.

Dimension letters: V visible audio tokens, S text slots, D width of a text state, T heard tokens.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.latent import LATENT_DIM
from actor_server.saving import Saving
from proto.messages import Mood, Phone
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_FRAMES, tokens_to_us

Floats = NDArray[np.float32]
Kind = Literal["speaking", "listening", "idle"]

CHUNK_LATENTS: Final = (CHUNK_FRAMES, LATENT_DIM)
NEVER_SHOWN: Final = -1
"""`rollback(NEVER_SHOWN)`: no chunk was shown, begin again at the portrait's own latent."""


@dataclass(frozen=True)
class Visibility:
    """What a chunk may see: audio tokens [4c - A, 4c + 3 + L], text states of width D.

    `audio_states`: of an audio token it sees the Thinker's state of width D (the paper, section
    3.2), not the features of the sound.
    """

    history_tokens: int
    lookahead_tokens: int
    state_width: int
    audio_states: bool = False

    @property
    def slots(self) -> int:
        """V: visible audio slots."""
        return self.history_tokens + CHUNK_AUDIO_TOKENS + self.lookahead_tokens


class WindowFull(RuntimeError):
    """`offer` was called while `window` conditions were already in flight."""


class ChunkForgotten(ValueError):
    """`rollback` named a chunk that was never made, or one too old to be remembered."""


@dataclass(frozen=True)
class SpeechWindow:
    """The speech that one chunk may see: audio tokens [first - A, first + 3 + L] of its turn.

    Shapes: features (V, 8, 80) float32 log-mel, zero where `heard` (V,) is False (before the turn,
    or after its end); audio_states (V, D) float16, zero likewise, or None; text_states (S, D)
    float16 of the text slots `text_slots` (S,), which count from the turn's start, or None.
    `first_token` is the chunk's own first token and lies at row `history_tokens`. `audio_tokens` of
    its four sound in the chunk (fewer only in the turn's last one). `phones` are all known ones
    near the window, microseconds from the start of the turn.
    """

    turn: int
    first_token: int
    audio_tokens: int
    history_tokens: int
    features: Floats
    heard: NDArray[np.bool_]
    audio_states: NDArray[np.float16] | None = None
    phones: tuple[Phone, ...] | None = None
    text_slots: tuple[int, ...] = ()
    text_states: NDArray[np.float16] | None = None
    last: bool = False

    def __post_init__(self) -> None:
        visible = len(self.features)
        if self.features.shape != (visible, TOKEN_MEL_FRAMES, MEL_BINS):
            raise ValueError(
                f"features are {self.features.shape}, must be (V, {TOKEN_MEL_FRAMES}, {MEL_BINS})"
            )
        if self.heard.shape != (visible,) or visible < self.history_tokens + CHUNK_AUDIO_TOKENS:
            raise ValueError(
                f"{visible} visible tokens and a mask of {self.heard.shape} cannot hold "
                f"{self.history_tokens} of history and the chunk's {CHUNK_AUDIO_TOKENS}"
            )
        if self.audio_states is not None and len(self.audio_states) != visible:
            raise ValueError(f"{len(self.audio_states)} audio states for {visible} visible tokens")

    @property
    def start_us(self) -> int:
        """Time of the chunk's first sample from the start of the turn's speech."""
        return tokens_to_us(self.first_token)


@dataclass(frozen=True)
class HeardWindow:
    """The caller's voice since the previous chunk: features (T, 8, 80), T may be 0."""

    speaking: bool
    features: Floats


@dataclass(frozen=True)
class Condition:
    """What one chunk is conditioned on. `speech` is there exactly when `kind` is speaking.

    `moods`: one for each 80 ms, as long as an audio token. No source was trained on them: they are
    laid over what it makes (`mood.py`), or nothing comes of them.
    """

    kind: Kind
    epoch: int
    speech: SpeechWindow | None = None
    heard: HeardWindow = field(
        default_factory=lambda: HeardWindow(
            False, np.zeros((0, TOKEN_MEL_FRAMES, MEL_BINS), np.float32)
        )
    )
    moods: tuple[Mood, ...] = (Mood(),) * CHUNK_AUDIO_TOKENS

    def __post_init__(self) -> None:
        if (self.kind == "speaking") != (self.speech is not None):
            raise ValueError(f"a {self.kind} condition with speech={self.speech is not None}")


class MotionStream(Protocol):
    """The motion of one face through one call. Chunks count from 0; not thread-safe."""

    @property
    def window(self) -> int:
        """How many offered conditions may be in flight."""

    def offer(self, condition: Condition) -> None:
        """Add the next chunk's condition. Raises WindowFull."""

    def next_chunk(self) -> Floats | None:
        """One pass: the oldest offered chunk's latents, CHUNK_LATENTS, or None: not clean yet."""

    def flush(self, epoch: int) -> int:
        """Drop offered conditions older than `epoch` that were not emitted; how many."""

    def rollback(self, to_chunk: int) -> None:
        """Forget everything after chunk `to_chunk`, the last one shown, and what is in flight.

        The continuation is the same as if later chunks had never been made, so the pose does not
        jump. Raises ChunkForgotten.
        """

    def ease(self, saving: Saving) -> None:
        """Save so much work from now on, without a jump; nothing where there is no way to."""

    def close(self) -> None:
        """Free what the stream holds of its source. Nothing else may be called after it."""


class MotionSource(Protocol):
    """Makes streams; holds what sessions share (weights, tables)."""

    @property
    def label(self) -> str:
        """A short name for people: what moves the face."""

    @property
    def sight(self) -> Visibility:
        """What the source's chunks may see: conditions must be cut to it."""

    @property
    def savings(self) -> tuple[Saving, ...]:
        """The steps by which its streams can save work."""

    def open(self, reference: Floats, seed: int) -> MotionStream:
        """Begin a call at the portrait's latent (LATENT_DIM,)."""
