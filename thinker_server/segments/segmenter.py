"""One reply's speech, however it is cut, to the same parts of segments.

A segment of 26 audio tokens leaves in parts of 4, 4, 4, 4, 4 and 6 tokens. The last token so far is
held back until more speech follows or the turn ends, so that `final` sits on a part with speech.
Dimension letters: T audio tokens, S text slots, D width of a state, N samples.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from proto.feature_resampler import FeatureResampler
from proto.messages import HiddenChunk, MoodChange, Phone, SpokenMood
from proto.speech_features import SpeechFeatures, token_features
from proto.time_law import (
    AUDIO_TOKEN_US,
    MIN_PART_AUDIO_TOKENS,
    SEGMENT_AUDIO_TOKENS,
    SPEECH_HZ,
    TOKEN_SAMPLES,
)
from thinker_server.segments.text_slots import TextSlots, TimedTextToken
from thinker_server.speaking.voice import TimedPhone

_PARTS_PER_SEGMENT = SEGMENT_AUDIO_TOKENS // MIN_PART_AUDIO_TOKENS
PART_STARTS = tuple(range(0, _PARTS_PER_SEGMENT * MIN_PART_AUDIO_TOKENS, MIN_PART_AUDIO_TOKENS))
"""First tokens of a segment's parts: 0, 4, 8, 12, 16, 20."""


def part_tokens(first_token: int) -> int:
    """Length of the part that begins with this token of a turn."""
    within = first_token % SEGMENT_AUDIO_TOKENS
    following = bisect_right(PART_STARTS, within)
    ends = [*PART_STARTS[1:], SEGMENT_AUDIO_TOKENS]
    return ends[following - 1] - within


@dataclass(frozen=True)
class Part:
    """What a HiddenChunk carries, before it is addressed to a session and an epoch."""

    first_token: int
    final: bool
    pcm: np.ndarray  # (T * 1920,) int16
    features: np.ndarray  # (T, 8, mel bins) float16
    phones: tuple[TimedPhone, ...]
    first_text_slot: int
    text: tuple[TimedTextToken, ...]
    moods: tuple[MoodChange, ...] = ()

    @property
    def audio_tokens(self) -> int:
        """T."""
        return len(self.features)

    def message(self, session_id: str, epoch: int, turn: int) -> HiddenChunk:
        """The wire message; a part without text tokens has no text arrays."""
        ids = np.array([token.token_id for token in self.text], np.int32) if self.text else None
        states = np.stack([token.state for token in self.text]) if self.text else None
        return HiddenChunk(
            session_id=session_id,
            epoch=epoch,
            turn=turn,
            first_token=self.first_token,
            audio_tokens=self.audio_tokens,
            first_text_slot=self.first_text_slot,
            final=self.final,
            phones=tuple(
                Phone(symbol=p.symbol, start_us=p.start_us, end_us=p.end_us) for p in self.phones
            ),
            features=self.features,
            pcm=self.pcm,
            text_ids=ids,
            text_states=states,
            moods=self.moods or None,
        )


class Segmenter:
    """Collects the speech, phones and text tokens of one turn; gives parts as they fill up."""

    def __init__(self) -> None:
        self._resampler = FeatureResampler()
        self._features = SpeechFeatures()
        self._slots = TextSlots()
        self._phones: list[TimedPhone] = []
        self._mood = SpokenMood()
        self._moods: list[MoodChange] = []
        """Those of parts that were not given out."""
        self._pcm = np.zeros(0, np.int16)
        self._next_token = 0
        self._pushed_samples = 0

    @property
    def pushed_us(self) -> int:
        """Length of the speech so far: where the next utterance begins."""
        return self._pushed_samples * 1_000_000 // SPEECH_HZ

    @property
    def tokens(self) -> int:
        """Audio tokens given out so far."""
        return self._next_token

    def add_text(self, token: TimedTextToken) -> None:
        """The reply's next text token; before the speech of its word is pushed."""
        self._slots.add(token)

    def add_phones(self, phones: Sequence[TimedPhone]) -> None:
        """Phones in turn time, in order; before their speech is pushed."""
        self._phones += phones

    def set_mood(self, mood: SpokenMood) -> None:
        """That of the speech which is pushed next, and of all after it."""
        token = self._pushed_samples // TOKEN_SAMPLES
        if mood != self._mood:
            others = [change for change in self._moods if change.first_token != token]
            self._moods = [*others, MoodChange(first_token=token, mood=mood)]
        self._mood = mood

    def push(self, pcm: np.ndarray) -> Iterator[Part]:
        """Take speech (N,) int16 and give the parts that are now complete."""
        self._pcm = np.concatenate([self._pcm, pcm])
        self._pushed_samples += len(pcm)
        while len(self._pcm) > (tokens := part_tokens(self._next_token)) * TOKEN_SAMPLES:
            yield self._part(tokens, final=False)

    def end(self) -> Iterator[Part]:
        """The last part: the rest, with silence up to a whole token. Nothing if none was spoken."""
        tokens = -(-len(self._pcm) // TOKEN_SAMPLES)
        if tokens == 0:
            return
        padding = np.zeros(tokens * TOKEN_SAMPLES - len(self._pcm), np.int16)
        self._pcm = np.concatenate([self._pcm, padding])
        yield self._part(tokens, final=True)

    def _part(self, tokens: int, final: bool) -> Part:
        pcm, self._pcm = np.split(self._pcm, [tokens * TOKEN_SAMPLES])
        first = self._next_token
        self._next_token += tokens
        end_us = self._next_token * AUDIO_TOKEN_US
        slot, text = self._slots.take(first // SEGMENT_AUDIO_TOKENS, end_us)
        count = bisect_right([phone.start_us for phone in self._phones], end_us - 1)
        phones, self._phones = self._phones[:count], self._phones[count:]
        moods = tuple(change for change in self._moods if change.first_token < self._next_token)
        self._moods = self._moods[len(moods) :]
        features = token_features(self._features.push(self._resampler.push(pcm)))
        return Part(first, final, pcm, features, tuple(phones), slot, tuple(text), moods)
