"""Speech and conditions for tests of the Actor: short, timed, and made of phones."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from actor_server.motion.procedural import NEAR_SIGHT
from actor_server.motion.source import Condition, Floats, HeardWindow, MotionStream, Visibility
from actor_server.speech_queue import TurnSpeech
from proto.messages import HiddenChunk, Mood, Phone
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import AUDIO_TOKEN_US, CHUNK_AUDIO_TOKENS, TOKEN_SAMPLES

VOICED_LEVEL, SILENT_LEVEL = 0.35, -1.4
LONG = "HH AH L OW SIL M AY N EY M IH Z M AA R AH SIL SIL SIL SIL P L IY Z F IY L B EH T ER " * 3
MAX_PASSES = 50
"""Passes a chunk, at most."""


def phones_of(symbols: str, each_us: int = 100_000) -> tuple[Phone, ...]:
    """Phones of "M AA SIL", one after another."""
    return tuple(
        Phone(symbol=symbol, start_us=n * each_us, end_us=(n + 1) * each_us)
        for n, symbol in enumerate(symbols.split())
    )


def reply(
    symbols: str = "M AA M IY B AA P UW F EH",
    *,
    epoch: int = 1,
    turn: int = 1,
    session_id: str = "s",
    with_phones: bool = True,
) -> HiddenChunk:
    """A whole reply: voiced where there is a sound, silent at SIL, pcm that counts samples."""
    phones = phones_of(symbols)
    tokens = -(-phones[-1].end_us // AUDIO_TOKEN_US)
    features = np.full((tokens, TOKEN_MEL_FRAMES, MEL_BINS), SILENT_LEVEL, np.float16)
    hops = features.reshape(-1, MEL_BINS)
    for phone in phones:
        if phone.symbol != "SIL":
            hops[phone.start_us // 10_000 : phone.end_us // 10_000] = VOICED_LEVEL
    return HiddenChunk(
        session_id=session_id,
        epoch=epoch,
        turn=turn,
        first_token=0,
        audio_tokens=tokens,
        final=True,
        phones=phones if with_phones else None,
        features=features,
        pcm=(np.arange(tokens * TOKEN_SAMPLES) % 30_000).astype(np.int16),
    )


def parts_of(whole: HiddenChunk, sizes: Sequence[int]) -> list[HiddenChunk]:
    """A reply cut into parts of so many audio tokens; the last part takes what is left."""
    assert whole.features is not None
    assert whole.pcm is not None
    parts: list[HiddenChunk] = []
    first = 0
    while first < whole.audio_tokens:
        size = sizes[len(parts)] if len(parts) < len(sizes) else whole.audio_tokens
        end = min(first + size, whole.audio_tokens)
        begun = tuple(
            phone
            for phone in whole.phones or ()
            if first * AUDIO_TOKEN_US <= phone.start_us < end * AUDIO_TOKEN_US
        )
        update = {
            "first_token": first,
            "audio_tokens": end - first,
            "final": end == whole.audio_tokens,
            "features": whole.features[first:end],
            "pcm": whole.pcm[first * TOKEN_SAMPLES : end * TOKEN_SAMPLES],
            "phones": None if whole.phones is None else begun,
        }
        parts.append(whole.model_copy(update=update))
        first = end
    return parts


def speaking(whole: HiddenChunk, sight: Visibility = NEAR_SIGHT) -> list[Condition]:
    """The conditions of every chunk of a reply."""
    speech = TurnSpeech(whole.turn, sight.history_tokens, sight.lookahead_tokens)
    speech.extend(whole)
    conditions = []
    while speech.ready:
        conditions.append(Condition("speaking", whole.epoch, speech.cut().window))
    return conditions


def idle(epoch: int = 0) -> Condition:
    """Nobody speaks."""
    return Condition("idle", epoch)


def listening(level: float, epoch: int = 0) -> Condition:
    """The caller's voice at a level of the features, for one chunk."""
    features = np.full((4, TOKEN_MEL_FRAMES, MEL_BINS), level, np.float32)
    return Condition("listening", epoch, heard=HeardWindow(level > -1.0, features))


MOODS = (
    Mood(),
    Mood(expression="warm", yaw_deg=6.0),
    Mood(expression="serious", strength=0.5),
    Mood(expression="surprised", pitch_deg=-6.0),
)


def in_mood(conditions: Sequence[Condition], mood: Mood) -> list[Condition]:
    """The same, all in one mood."""
    return [replace(condition, moods=(mood,) * CHUNK_AUDIO_TOKENS) for condition in conditions]


def moody_conditions(seed: int, count: int, sight: Visibility = NEAR_SIGHT) -> list[Condition]:
    """A call in which the mood changes at any token too."""
    chance = random.Random(seed + 1)
    mood, moody = MOODS[0], []
    for condition in mixed_conditions(seed, count, sight):
        moods = []
        for _ in range(CHUNK_AUDIO_TOKENS):
            mood = chance.choice(MOODS) if chance.random() < 0.1 else mood
            moods.append(mood)
        moody.append(replace(condition, moods=tuple(moods)))
    return moody


def mixed_conditions(seed: int, count: int, sight: Visibility = NEAR_SIGHT) -> list[Condition]:
    """A call in which states change without warning, replies cut off in the middle too."""
    chance = random.Random(seed)
    conditions: list[Condition] = []
    turn = 0
    while len(conditions) < count:
        turn += 1
        spoken = speaking(reply(LONG, epoch=turn, turn=turn), sight)
        conditions += spoken[: chance.randint(1, len(spoken))]
        conditions += [idle(turn)] * chance.randint(0, 6)
        levels = [chance.choice([0.3, -1.4]) for _ in range(chance.randint(0, 8))]
        conditions += [listening(level, turn) for level in levels]
    return conditions[:count]


def play(stream: MotionStream, conditions: Sequence[Condition]) -> Floats:
    """The latents (F, 31) of one chunk for each condition, with all in flight that may be."""
    waiting = deque(conditions)
    chunks: list[Floats] = []
    for _ in range(MAX_PASSES * len(conditions)):
        while waiting and len(conditions) - len(waiting) - len(chunks) < stream.window:
            stream.offer(waiting.popleft())
        latents = stream.next_chunk()
        if latents is not None:
            chunks.append(latents)
        if len(chunks) == len(conditions):
            return np.concatenate(chunks)
    raise AssertionError(f"{len(chunks)} of {len(conditions)} chunks came out")
