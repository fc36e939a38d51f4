"""What happens in one training sequence, chunk by chunk, and its performance by the teacher.

The teacher hears the clean speech with its phones; the model is told what a call would tell it:
perhaps a disguised voice, perhaps no phones, no text, or no look-ahead.
Shapes: C = 8 frames of a chunk, F frames of a recorded motion.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.codec.mesh.latent import GAZE, LIDS, MOUTH, POSE, portrait_latent
from actor_server.motion.conditioning import (
    UNKNOWN_PHONE,
    ConditionArrays,
    ConditionReader,
    Visibility,
)
from actor_server.motion.eyes import CONTACT_PITCH, CONTACT_YAW
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import (
    CHUNK_LATENTS,
    Condition,
    Floats,
    HeardWindow,
    Kind,
    MotionStream,
    SpeechWindow,
)
from actor_server.session import LISTEN_MEMORY_US
from actor_server.training.chunk_store import Sequence
from actor_server.training.grid_motion import GridClip
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_US

BLEND_FRAMES: Final = 3
"""Frames in which recorded motion takes over from the teacher's; nobody learns from them."""
_LISTEN_CHUNKS: Final = LISTEN_MEMORY_US // CHUNK_US


@dataclass(frozen=True)
class Heard:
    """One chunk of the avatar's own speech, for the teacher and as the model gets it."""

    clean: SpeechWindow
    told: SpeechWindow


@dataclass(frozen=True)
class Beat:
    """One chunk of a script: own speech or None, and the caller."""

    speech: Heard | None
    caller: HeardWindow
    blind: bool = False
    """The look-ahead came too late for the model."""


@dataclass(frozen=True)
class Recorded:
    """Motion of a real speaker from frame `first_frame` of the sequence on."""

    first_frame: int
    clip: GridClip


@dataclass(frozen=True)
class Script:
    """One sequence before it is performed. `warm_up` idle chunks come before it, unseen."""

    source: str
    beats: tuple[Beat, ...]
    recorded: tuple[Recorded, ...] = ()
    warm_up: int = 0
    voice: str = ""
    """Whose the own speech is, where it has a name."""


def perform(script: Script, sight: Visibility, seed: int) -> Sequence:
    """The teacher plays the script; recorded motion is laid over it."""
    stream = ProceduralMotion(sight).open(portrait_latent(), seed)
    reader = ConditionReader(sight)
    for _ in range(script.warm_up):
        reader.read(Condition("idle", 0))
        _play(stream, Condition("idle", 0))
    latents: list[Floats] = []
    conditions: list[ConditionArrays] = []
    since_caller = _LISTEN_CHUNKS + 1
    for beat in script.beats:
        since_caller = 0 if beat.caller.speaking else since_caller + 1
        quiet: Kind = "listening" if since_caller <= _LISTEN_CHUNKS else "idle"
        if beat.speech is None:
            shown = told = Condition(quiet, 0, heard=beat.caller)
        else:
            shown = Condition("speaking", 0, beat.speech.clean, beat.caller)
            told = Condition("speaking", 0, beat.speech.told, beat.caller)
        latents.append(_play(stream, shown))
        arrays = reader.read(told)
        conditions.append(without_look_ahead(arrays, sight) if beat.blind else arrays)
    frames = np.concatenate(latents)
    trusted = np.ones(frames.shape, np.bool_)
    for recorded in script.recorded:
        lay_over(frames, trusted, recorded)
    shape = (len(script.beats), *CHUNK_LATENTS)
    whole = (frames.reshape(shape), trusted.reshape(shape))
    return Sequence(script.source, *whole, conditions, script.voice)


def _play(stream: MotionStream, condition: Condition) -> Floats:
    stream.offer(condition)
    latents = stream.next_chunk()
    assert latents is not None, "the teacher has a window of one"
    return latents


def lay_over(frames: Floats, trusted: NDArray[np.bool_], recorded: Recorded) -> None:
    """Put a real speaker's mouth, lids and gaze into frames (F, 31), and trust nothing else there.

    The speaker sat still and looked ahead, the teacher turns the head: the eyes hold their target.
    """
    clip = recorded.clip
    count = min(len(clip.mouths), len(frames) - recorded.first_frame)
    rows = slice(recorded.first_frame, recorded.first_frame + count)
    pose = frames[rows, POSE]
    contact = np.stack([CONTACT_YAW * pose[:, 0], -CONTACT_PITCH * pose[:, 1]], axis=1)
    edge = np.minimum(np.arange(count), np.arange(count)[::-1]) + 1
    share = np.minimum(1.0, edge / (BLEND_FRAMES + 1)).astype(np.float32)
    whole = share == 1.0
    trusted[rows] = False
    for group, motion, sure in (
        (MOUTH, clip.mouths[:count], clip.usable[:count]),
        (LIDS, clip.lids[:count], clip.usable[:count]),
        (GAZE, clip.gaze[:count] + contact, clip.sees[:count]),
    ):
        weight = np.where(clip.usable[:count], share, 0.0)[:, None]
        frames[rows, group] += weight * (motion - frames[rows, group])
        trusted[rows, group] = (sure & whole)[:, None]


def without_look_ahead(arrays: ConditionArrays, sight: Visibility) -> ConditionArrays:
    """The same chunk, made before the speech that follows it was there."""
    known = sight.history_tokens + CHUNK_AUDIO_TOKENS
    audio, seen, phones = arrays.audio.copy(), arrays.audio_seen.copy(), arrays.phones.copy()
    audio[known:], seen[known:], phones[known:] = 0.0, False, UNKNOWN_PHONE
    return replace(arrays, audio=audio, audio_seen=seen, phones=phones)
