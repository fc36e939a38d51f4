"""The speech of one turn as the Actor sees it, chunk by chunk, by the call's own queue."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from actor_server.motion.conditioning import Visibility
from actor_server.motion.source import Floats
from actor_server.speech_queue import TurnSpeech
from actor_server.training.disguise import Disguise
from actor_server.training.grid_motion import GridClip, without_gaps
from actor_server.training.script import Heard
from proto.messages import HiddenChunk, Phone
from proto.speech_features import token_features
from proto.time_law import FRAME_US, TOKEN_SAMPLES, tokens_to_us

HOPS_PER_FRAME: Final = FRAME_US // 10_000
FRAMES_PER_TOKEN: Final = 2
EDGE_FRAMES: Final = 5
"""A pause between two clips sounds like the ends of the clips around it."""


@dataclass(frozen=True)
class Telling:
    """What the model is told of a voice, the same through one sequence."""

    disguise: Disguise
    with_phones: bool
    with_text: bool
    lead_parts: int
    """Parts that are there before the first chunk is made, beyond what it needs."""


def heard_chunks(
    parts: Sequence[HiddenChunk], turn: int, sight: Visibility, telling: Telling, seed: int
) -> list[Heard]:
    """One turn. The teacher knows all of it; the model gets parts as a call would, no sooner."""
    dice = np.random.default_rng(seed)
    clean = _queue(turn, sight)
    for part in parts:
        clean.extend(part)
    told = _queue(turn, sight)
    waiting = deque(_told(part, telling, dice) for part in parts)
    for _ in range(min(telling.lead_parts, len(waiting))):
        told.extend(waiting.popleft())
    chunks = []
    while not clean.finished:
        while waiting and not told.ready:
            told.extend(waiting.popleft())
        chunks.append(Heard(clean.cut().window, told.cut().window))
    return chunks


def _queue(turn: int, sight: Visibility) -> TurnSpeech:
    return TurnSpeech(turn, sight.history_tokens, sight.lookahead_tokens)


def _told(part: HiddenChunk, telling: Telling, dice: np.random.Generator) -> HiddenChunk:
    features = part.features
    if features is not None:
        features = telling.disguise.worn(features, dice).astype(np.float16)
    update = {
        "features": features,
        "phones": part.phones if telling.with_phones else None,
        "text_states": part.text_states if telling.with_text else None,
    }
    return part.model_copy(update=update)


@dataclass(frozen=True)
class JoinedClips:
    """Several GRID clips as one turn: clip i begins at frame `starts[i]`."""

    message: HiddenChunk
    starts: tuple[int, ...]


def joined_clips(clips: Sequence[GridClip], dice: np.random.Generator) -> JoinedClips:
    """Clips with short quiet pauses between them; each begins on an audio token."""
    features: list[Floats] = []
    phones: list[Phone] = []
    starts: list[int] = []
    frames = 0
    for place, clip in enumerate(clips):
        if place:
            # with the odd frame, every clip starts on a token
            pause = 2 * int(dice.integers(2, 8)) + frames % FRAMES_PER_TOKEN
            features.append(_room(clips[place - 1], pause, dice))
            frames += pause
        starts.append(frames)
        features.append(clip.features)
        phones += _moved(clip.phones or (), frames * FRAME_US)
        frames += len(clip.mouths)
    if frames % FRAMES_PER_TOKEN:
        features.append(_room(clips[-1], 1, dice))
    tokens = token_features(np.concatenate(features))
    timed = all(clip.phones for clip in clips)
    message = HiddenChunk(
        session_id="grid",
        epoch=0,
        turn=0,
        first_token=0,
        audio_tokens=len(tokens),
        final=True,
        phones=without_gaps(tuple(phones), tokens_to_us(len(tokens))) if timed else None,
        features=tokens,
        pcm=np.zeros(len(tokens) * TOKEN_SAMPLES, np.int16),
    )
    return JoinedClips(message, tuple(starts))


def _room(clip: GridClip, frames: int, dice: np.random.Generator) -> Floats:
    """Features (4 frames, 80) of the room that a clip was recorded in: its quietest hops."""
    loudness = clip.features.mean(1)
    quiet = np.argsort(loudness)[: EDGE_FRAMES * HOPS_PER_FRAME]
    hops: Floats = clip.features[dice.choice(quiet, frames * HOPS_PER_FRAME)]
    return hops


def _moved(phones: Sequence[Phone], by_us: int) -> list[Phone]:
    return [
        Phone(symbol=phone.symbol, start_us=phone.start_us + by_us, end_us=phone.end_us + by_us)
        for phone in phones
    ]
