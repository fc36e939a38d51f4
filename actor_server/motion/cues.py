"""What the body reacts to, frame by frame: loudness, pitch, accents, ends of phrases, pauses."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from actor_server.motion.feature_lips import VoiceLevel, feature_lips, frame_bands, loudness
from actor_server.motion.intonation import pitches
from actor_server.motion.source import Condition, Floats, Kind
from proto.time_law import CHUNK_FRAMES

ACCENT_RISE: Final = 0.09
"""Above the running mean of loudness, in shares of the voice's range."""
ACCENT_EVERY_FRAMES: Final = 11
MEAN_FRAMES: Final = 12.0
VOICED: Final = 0.35
PHRASE_PAUSE_FRAMES: Final = 4
USUAL_PITCH_FRAMES: Final = 75.0
"""A voice's usual pitch is a running mean over so many voiced frames."""


class Heard(NamedTuple):
    """One frame of a voice. `accent` is how much it stands out, 0 for most frames; `pitch`: octaves
    above the voice's usual one, 0 where it has none."""

    loudness: float
    accent: float = 0.0
    phrase_ended: bool = False
    pitch: float = 0.0


@dataclass(frozen=True)
class Cue:
    """One frame: what is done, and what is heard of the voice that counts."""

    kind: Kind
    heard: Heard
    turn_began: bool = False


@dataclass
class Ear:
    """Finds accents and ends of phrases in the frames of one voice."""

    voice: VoiceLevel = field(default_factory=lambda: feature_lips().voice())
    mean: float = 0.0
    since_accent: int = ACCENT_EVERY_FRAMES
    voiced: int = 0
    silent: int = 0
    rising: float = 0.0
    usual_pitch: float | None = None

    def listen(self, features: Floats) -> list[Heard]:
        """Each frame of hops (4 F, 80)."""
        bands = frame_bands(features)
        self.voice.hear(bands)
        loud = np.minimum(loudness(bands, self.voice.peak), 1.0)
        return [
            self._frame(float(level), float(pitch))
            for level, pitch in zip(loud, pitches(features), strict=True)
        ]

    def listen_for_a_chunk(self, features: Floats, *, speaking: bool) -> list[Heard]:
        """The same for what came of the caller (4 F, 80), stretched or cut to a chunk's length."""
        frames = self.listen(features) if len(features) else []
        if len(frames) < CHUNK_FRAMES and not speaking:
            frames += self.silence(CHUNK_FRAMES - len(frames))
        elif len(frames) < CHUNK_FRAMES:
            level = min(1.0, self.mean)
            frames += [Heard(level)] * (CHUNK_FRAMES - len(frames))
        return frames[-CHUNK_FRAMES:]

    def silence(self, frames: int) -> list[Heard]:
        """The same for frames without a voice."""
        return [self._frame(0.0, 0.0) for _ in range(frames)]

    def _frame(self, loud: float, pitch: float) -> Heard:
        self.mean += (loud - self.mean) / MEAN_FRAMES
        self.since_accent += 1
        rise = loud - self.mean
        accent = 0.0
        # the moment at which loudness stops rising is the vowel of the accented syllable
        if rise > ACCENT_RISE and rise < self.rising and self.since_accent > ACCENT_EVERY_FRAMES:
            accent, self.since_accent = min(1.0, self.rising / 0.3), 0
        self.rising = rise
        ended, raised = False, 0.0
        if loud > VOICED:
            self.voiced, self.silent = self.voiced + 1, 0
            raised = self._above_usual(pitch)
        else:
            self.silent += 1
            ended = self.silent == PHRASE_PAUSE_FRAMES and self.voiced > PHRASE_PAUSE_FRAMES
            if self.silent >= PHRASE_PAUSE_FRAMES:
                self.voiced = 0
        return Heard(loud, accent, ended, raised)

    def _above_usual(self, pitch: float) -> float:
        if self.usual_pitch is None:
            self.usual_pitch = pitch
        self.usual_pitch += (pitch - self.usual_pitch) / USUAL_PITCH_FRAMES
        return pitch - self.usual_pitch


@dataclass
class Cues:
    """Turns conditions into cues: the avatar's own voice while speaking, the caller's otherwise."""

    own: Ear = field(default_factory=Ear)
    caller: Ear = field(default_factory=Ear)
    turn: int = -1

    def read(self, condition: Condition) -> list[Cue]:
        """The CHUNK_FRAMES cues of a chunk."""
        window = condition.heard
        heard = self.caller.listen_for_a_chunk(window.features, speaking=window.speaking)
        speech = condition.speech
        if speech is None:
            self.own.silence(CHUNK_FRAMES)
            return [Cue(condition.kind, frame) for frame in heard]
        began = speech.turn != self.turn
        self.turn = speech.turn
        rows = slice(speech.history_tokens, speech.history_tokens + CHUNK_FRAMES // 2)
        features = np.where(speech.heard[rows, None, None], speech.features[rows], -1.5)
        frames = self.own.listen(features.astype(np.float32))
        return [
            Cue("speaking", frame, turn_began=began and index == 0)
            for index, frame in enumerate(frames)
        ]
