"""When the caller's turn begins, pauses and ends: probabilities in, events out.

Pure: it knows no clock but the audio that it was given, so a late network, a burst of buffered
audio and a test all see the same turns.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

WINDOW_SAMPLES = 512
WINDOW_US = 32_000
"""One voice probability covers 512 samples at 16 kHz."""


@dataclass(frozen=True)
class TurnTuning:
    """Tunables, with the reason for each."""

    voice_threshold: float = 0.5
    """silero's own; speech is mostly above 0.9, breath and keys below 0.3."""
    silence_threshold: float = 0.35
    """Hysteresis: soft ends of words stay voice."""
    start_ms: int = 128
    """A turn starts after so much voice: shorter sounds are clicks."""
    barge_in_ms: int = 224
    """While a reply is on its way or sounding, voice must last longer: "mhm" and coughs have
    100-200 ms of voice, and 300 ms from voice to silence must include the way to the caller."""
    hold_ms: int = 64
    """While a reply sounds, so much voice makes it hold its breath: silence comes at once, and
    speech goes on where it stopped when the voice was only a cough. 0: only `barge_in_ms`."""
    start_gaps_ms: int = 128
    """So much silence may lie within the voice that starts a turn (plosives, short pauses)."""
    pause_ms: int = 64
    """After so much silence the turn may be over: the Thinker speculates. silero lets voice ring
    on for about 80 ms, so this is 140 ms without sound; plosives have less than 120."""
    judge_ms: int = 128
    """After so much silence the end-of-turn model is asked. Asked after 64 ms it took one of nine
    pauses of 0.5 s inside recorded questions for the end, after 128 ms none."""
    sure_wait_ms: int = 320
    """Silence that ends a turn when the model is sure; in between the wait is in between."""
    unsure_wait_ms: int = 800
    """Silence that ends a turn when it is not: people pause for breath and thought < 0.7 s."""
    sure_probability: float = 0.66
    """Recorded questions ended with 0.68-0.84; of pauses inside them half had less than this."""
    unsure_probability: float = 0.36
    """The model's own threshold for English: below it the turn goes on."""
    max_turn_ms: int = 30_000
    """A television in the room must not hold the turn for ever."""


class TurnPhase(StrEnum):
    """Where the caller's turn stands."""

    QUIET = "quiet"
    SPEAKING = "speaking"
    PAUSED = "paused"


@dataclass(frozen=True)
class TurnEvent:
    """Something about the turn, found at `at_us` of the caller's audio.

    `voice_us`: for `started` where the voice began, else where it was last heard. `sound_us`:
    where the last sound of it ended, as loudness tells.
    """

    kind: Literal["started", "paused", "resumed", "ended"]
    at_us: int
    voice_us: int
    sound_us: int = 0

    @property
    def voice_end_us(self) -> int:
        """Where the voice ended: by its sound where that is known."""
        return min(self.sound_us, self.voice_us) if self.sound_us else self.voice_us


class TurnDetector:
    """One caller. `hear` takes one probability per window of audio, in order."""

    def __init__(self, tuning: TurnTuning) -> None:
        self._tuning = tuning
        self._now_us = 0
        self._voiced = False
        self._silence_us = 0
        self._voice_us = 0
        self._started_us = 0
        self._resume_us = 0
        self._wait_ms = tuning.unsure_wait_ms
        self._recent: deque[bool] = deque()
        self.phase = TurnPhase.QUIET

    @property
    def now_us(self) -> int:
        """How much audio was heard."""
        return self._now_us

    @property
    def voiced(self) -> bool:
        """Whether the last window was voice."""
        return self._voiced

    @property
    def suspects(self) -> bool:
        """Whether there is voice that may become a turn."""
        heard_ms = sum(self._recent) * WINDOW_US // 1000
        return 0 < self._tuning.hold_ms <= heard_ms

    @property
    def wants_judgement(self) -> bool:
        """Whether this is the window after which the end-of-turn model is to be asked."""
        asked_us = max(self._tuning.judge_ms, self._tuning.pause_ms) * 1000
        due = self._silence_us - WINDOW_US < asked_us <= self._silence_us
        return due and self.phase is TurnPhase.PAUSED

    def reset(self) -> None:
        """Forget the turn in progress (the caller typed instead); voice counts anew."""
        self.phase = TurnPhase.QUIET
        self._recent.clear()

    def hear(self, probability: float, busy: bool) -> TurnEvent | None:
        """Take the next window. `busy`: a reply is on its way, so only real speech interrupts."""
        self._now_us += WINDOW_US
        tuning = self._tuning
        limit = tuning.silence_threshold if self._voiced else tuning.voice_threshold
        self._voiced = probability >= limit
        if self._voiced:
            self._silence_us, self._voice_us = 0, self._now_us
        else:
            self._silence_us += WINDOW_US
        match self.phase:
            case TurnPhase.QUIET:
                return self._quiet(tuning.barge_in_ms if busy else tuning.start_ms)
            case TurnPhase.SPEAKING:
                return self._speaking()
            case TurnPhase.PAUSED:
                return self._paused()

    def judge(self, probability: float) -> None:
        """What the end-of-turn model thinks of the pause that goes on."""
        if self.phase is TurnPhase.PAUSED:
            tuning = self._tuning
            span = tuning.sure_probability - tuning.unsure_probability
            sureness = min(1.0, max(0.0, (probability - tuning.unsure_probability) / span))
            longer_ms = tuning.unsure_wait_ms - tuning.sure_wait_ms
            self._wait_ms = round(tuning.unsure_wait_ms - sureness * longer_ms)

    def _quiet(self, needed_ms: int) -> TurnEvent | None:
        self._recent.append(self._voiced)
        window_ms = needed_ms + self._tuning.start_gaps_ms
        while len(self._recent) * WINDOW_US > window_ms * 1000:
            self._recent.popleft()
        if not self._voiced or sum(self._recent) * WINDOW_US < needed_ms * 1000:
            return None
        begun = self._now_us - (len(self._recent) - self._recent.index(True)) * WINDOW_US
        self._recent.clear()
        self.phase, self._started_us = TurnPhase.SPEAKING, begun
        return self._event("started", begun)

    def _speaking(self) -> TurnEvent | None:
        if self._now_us - self._started_us >= self._tuning.max_turn_ms * 1000:
            self.phase = TurnPhase.QUIET
            return self._event("ended", self._voice_us)
        if self._silence_us < self._tuning.pause_ms * 1000:
            return None
        self.phase, self._resume_us = TurnPhase.PAUSED, 0
        self._wait_ms = self._tuning.unsure_wait_ms
        return self._event("paused", self._voice_us)

    def _paused(self) -> TurnEvent | None:
        self._resume_us = self._resume_us + WINDOW_US if self._voiced else 0
        if self._resume_us >= 2 * WINDOW_US:
            self.phase = TurnPhase.SPEAKING
            return self._event("resumed", self._now_us - self._resume_us)
        if self._silence_us >= self._wait_ms * 1000:
            self.phase = TurnPhase.QUIET
            return self._event("ended", self._voice_us)
        return None

    def _event(
        self, kind: Literal["started", "paused", "resumed", "ended"], voice_us: int
    ) -> TurnEvent:
        return TurnEvent(kind, self._now_us, voice_us)
