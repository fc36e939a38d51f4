"""The caller's audio: 20-ms blocks in; turn events, features and the Thinker's audio out.

Voice activity and end of turn are LiveKit's local models (native code without torch; licensed for
use inside LiveKit Agents, which this is).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from livekit.local_inference import EOT, EOT_MAX_SAMPLES, VAD

from proto.last_sound import LastSound
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES, SpeechFeatures, token_features
from proto.time_law import HEARING_BLOCK_SAMPLES, HEARING_HZ
from services.room_agent.turn_detector import WINDOW_SAMPLES, TurnDetector, TurnEvent

log = logging.getLogger(__name__)

BLOCK_US = HEARING_BLOCK_SAMPLES * 1_000_000 // HEARING_HZ


class VoiceModel(Protocol):
    """Probability of speech in each window of (WINDOW_SAMPLES,) s16; keeps state."""

    def predict(self, pcm: np.ndarray) -> float: ...


class TurnModel(Protocol):
    """Probability that the turn is over after (up to EOT_MAX_SAMPLES,) s16."""

    def predict(self, pcm: np.ndarray) -> float: ...


@dataclass(frozen=True)
class Models:
    """The local models of one job process."""

    voice: VoiceModel
    turn: TurnModel | None


def local_voice_model() -> VoiceModel:
    """silero's weights, 17 us a window."""
    return VAD()


def local_turn_model() -> TurnModel:
    """22-58 ms of work a pause, 1.2 s of audio, 250 MB shared between jobs."""
    return EOT()


class Ears:
    """One caller's hearing. `hear` takes (320,) s16 blocks in order."""

    def __init__(
        self,
        models: Models,
        detector: TurnDetector,
        on_event: Callable[[TurnEvent], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self._models = models
        self._on_event = on_event
        self._is_busy = is_busy
        self._pending = np.zeros(0, np.int16)
        self._past: deque[np.ndarray] = deque(maxlen=EOT_MAX_SAMPLES // WINDOW_SAMPLES)
        self._pause = asyncio.Event()
        self._features = SpeechFeatures()
        self._frames = np.zeros((0, MEL_BINS), np.float32)
        self._blocks = 0
        self._last_sound = LastSound()
        self.detector = detector

    @property
    def pts_us(self) -> int:
        """Media time of the next block."""
        return self._blocks * BLOCK_US

    def hear(self, pcm: np.ndarray) -> None:
        """Take the next block; turn events are reported before this returns."""
        self._blocks += 1
        self._frames = np.concatenate([self._frames, self._features.push(pcm)])
        self._pending = np.concatenate([self._pending, pcm])
        while len(self._pending) >= WINDOW_SAMPLES:
            window, self._pending = np.split(self._pending, [WINDOW_SAMPLES])
            self._past.append(window)
            probability = self._models.voice.predict(window)
            event = self.detector.hear(probability, self._is_busy())
            self._last_sound.hear(window, self.detector.now_us, self.detector.voiced)
            if self.detector.wants_judgement:
                self._pause.set()
            if event is not None:
                self._on_event(replace(event, sound_us=self._last_sound.at_us))

    def take_features(self) -> np.ndarray | None:
        """Whole audio tokens of features since the last call, (T, 8, MEL_BINS) float16."""
        whole = len(self._frames) // TOKEN_MEL_FRAMES * TOKEN_MEL_FRAMES
        if whole == 0:
            return None
        ready, self._frames = np.split(self._frames, [whole])
        return token_features(ready)

    async def judge_pauses(self) -> None:
        """Ask the end-of-turn model about each pause, off the event loop, until cancelled."""
        while True:
            await self._pause.wait()
            self._pause.clear()
            if (model := self._models.turn) is not None:
                past = np.concatenate(list(self._past))
                try:
                    probability = await asyncio.to_thread(model.predict, past)
                except Exception as error:  # noqa: BLE001 - without its judgement pauses are longer
                    log.warning("a pause was not judged", extra={"reason": repr(error)})
                    continue
                self.detector.judge(probability)
