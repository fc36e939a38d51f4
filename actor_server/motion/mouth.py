"""The mouth of one stream: lips by phones or features, at rest when there is nothing to say.

Every chunk is computed afresh from what is known now. Where that disagrees with the last frame that
was made (an interrupt, a phone that was not foreseen, the end of a reply) the difference fades
within three frames, so the lips never jump.

Shapes: C = CHUNK_FRAMES, K = 16 mouth coefficients.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from actor_server.codec.mesh.latent import MOUTH_DIM
from actor_server.motion.feature_lips import (
    VoiceLevel,
    feature_lips,
    frame_bands,
    frame_inputs,
    loudness,
)
from actor_server.motion.phone_lips import SILENCE, close_lips, keep_natural, phone_lips
from actor_server.motion.source import Floats, SpeechWindow
from proto.messages import Phone
from proto.time_law import AUDIO_TOKEN_US, CHUNK_FRAMES, FRAME_US

FADE: Final = np.array([0.62, 0.24, 0.05] + [0.0] * (CHUNK_FRAMES - 3), np.float32)
"""What is left of a disagreement in the frames after it: the mouth of an interrupted speaker is
closed after 120 ms."""
AMPLITUDE: Final = np.array([1.12] + [1.35] * (MOUTH_DIM - 1), np.float32)
"""The regressions shrink the opening to .87 and the width of the mouth to .67 of its size (held-out
GRID): the first coefficient is the jaw, the others shape the lips."""
ONSET_US: Final = 120_000
RELEASE_US: Final = 200_000
RAMP_US: Final = 120_000
"""Lips leave rest this long before a sound, return as long after it, over this ramp."""
SILENT: Final = 0.18
VOICED: Final = 0.30
"""Loudness, in shares of the voice's range, that is surely no speech, and surely speech."""
ACTIVITY_STEP: Final = 0.34
"""Change per frame: the mouth comes out of rest, and goes back, in three frames at the soonest."""
HOLD_FRAMES: Final = 4
AHEAD_FRAMES: Final = 3
FRAMES_PER_TOKEN: Final = AUDIO_TOKEN_US // FRAME_US
REST_FALL: Final = 0.2
REST_RISE: Final = 0.125
"""Change of the latent's rest per frame: speech takes the mouth quickly, rest more slowly."""
SILENT_LEVEL: Final = -1.5
"""Log-mel of digital silence."""


@dataclass
class Mouth:
    """State of the mouth of one stream."""

    last: Floats = field(default_factory=lambda: np.zeros(MOUTH_DIM, np.float32))
    rest: float = 1.0
    activity: float = 0.0
    voice: VoiceLevel = field(default_factory=lambda: feature_lips().voice())

    def chunk(self, speech: SpeechWindow | None) -> tuple[Floats, Floats]:
        """Mouth coefficients (C, K) and rest (C,) of the next chunk."""
        if speech is None:
            active = np.zeros(CHUNK_FRAMES + 1, np.float32)
            plan = np.zeros((CHUNK_FRAMES + 1, MOUTH_DIM), np.float32)
        else:
            bands = self._bands(speech)
            active = self._activity(speech, bands)
            if speech.phones is None:
                plan = _scaled(self._by_features(speech, bands), active)
            else:
                plan = _by_phones(speech, speech.phones, active)
        mouths = plan[1:] + np.outer(FADE, self.last - plan[0]).astype(np.float32)
        if speech is not None and speech.phones is not None:
            # a fading difference must not keep lips apart that have to meet
            mouths = close_lips(mouths, speech.phones, speech.start_us)
        self.last = mouths[-1]
        self.activity = float(active[-1])
        return mouths, self._rest(active[1:])

    def _activity(self, speech: SpeechWindow, bands: Floats) -> Floats:
        """How much the mouth is in speech, (C + 1,) 0-1; the first is the frame before."""
        wanted = np.ones(CHUNK_FRAMES + 1, np.float32)
        if speech.phones is not None:
            wanted = _around_phones(speech.phones, speech.start_us - FRAME_US, len(wanted))
        if speech.heard.any():
            # voices stretch a sentence's last phone over the silence behind it
            wanted = np.minimum(wanted, self._audible(bands, speech))
        eased = np.empty_like(wanted)
        eased[0] = self.activity
        for frame in range(1, len(wanted)):
            low, high = eased[frame - 1] - ACTIVITY_STEP, eased[frame - 1] + ACTIVITY_STEP
            eased[frame] = np.clip(wanted[frame], low, high)
        return eased

    def _by_features(self, speech: SpeechWindow, bands: Floats) -> Floats:
        """Mouths of the frame before the chunk and of its C frames, (C + 1, K)."""
        known = bands if not speech.last else np.concatenate([bands, _silence(bands)])
        inputs = frame_inputs(known, self.voice.peak, self.voice.colour)
        first = speech.history_tokens * FRAMES_PER_TOKEN
        return feature_lips().track(inputs, first - 1, CHUNK_FRAMES + 1)

    def _bands(self, speech: SpeechWindow) -> Floats:
        """Bands of all visible frames; the voice's level follows the chunk's own."""
        heard = speech.heard[:, None, None]
        bands = frame_bands(np.where(heard, speech.features, SILENT_LEVEL).astype(np.float32))
        first = speech.history_tokens * FRAMES_PER_TOKEN
        self.voice.hear(bands[first : first + CHUNK_FRAMES])
        return bands

    def _audible(self, bands: Floats, speech: SpeechWindow) -> Floats:
        """Whether there is a voice around the frame before the chunk and its frames, (C + 1,)."""
        loud = loudness(bands, self.voice.peak)
        first = speech.history_tokens * FRAMES_PER_TOKEN - 1
        rows = range(first, first + CHUNK_FRAMES + 1)
        # the loudest of the frames around: a stop consonant is no end of speech
        around = [loud[max(0, row - HOLD_FRAMES) : row + AHEAD_FRAMES].max() for row in rows]
        share = (np.array(around, np.float32) - SILENT) / (VOICED - SILENT)
        audible: Floats = np.clip(share, 0.0, 1.0).astype(np.float32)
        return audible

    def _rest(self, active: Floats) -> Floats:
        rest = np.empty(CHUNK_FRAMES, np.float32)
        for frame, share in enumerate(active):
            target = 1.0 - float(share)
            self.rest = float(np.clip(target, self.rest - REST_FALL, self.rest + REST_RISE))
            rest[frame] = self.rest
        return rest


def _by_phones(speech: SpeechWindow, phones: tuple[Phone, ...], active: Floats) -> Floats:
    """The frame before the chunk and its C frames, (C + 1, K), for activity (C + 1,)."""
    start_us = speech.start_us - FRAME_US
    complete = speech.last or _complete(phones)
    plan = phone_lips().track(phones, start_us, CHUNK_FRAMES + 1, complete)
    return close_lips(_scaled(plan, active), phones, start_us)


def _complete(phones: tuple[Phone, ...]) -> bool:
    """Whether the last known phone is a silence, which nothing need be made of."""
    return not phones or phones[-1].symbol == SILENCE


def _around_phones(phones: tuple[Phone, ...], start_us: int, frames: int) -> Floats:
    """1 from before each sound to after it, (F,), with smooth ramps to 0."""
    centres_us = start_us + (np.arange(frames) + 0.5) * FRAME_US
    active = np.zeros(frames, np.float32)
    for phone in phones:
        if phone.symbol == SILENCE:
            continue
        before_us = phone.start_us - ONSET_US - centres_us
        after_us = centres_us - phone.end_us - RELEASE_US
        away = np.clip(np.maximum(before_us, after_us) / RAMP_US, 0.0, 1.0)
        active = np.maximum(active, 1.0 - away * away * (3.0 - 2.0 * away))
    return active.astype(np.float32)


def _scaled(plan: Floats, active: Floats) -> Floats:
    return keep_natural((plan * AMPLITUDE * active[:, None]).astype(np.float32))


def _silence(bands: Floats) -> Floats:
    return np.full((4, bands.shape[1]), SILENT_LEVEL, np.float32)
