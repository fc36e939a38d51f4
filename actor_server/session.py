"""One call's face: its speech, its credit, its chunk counter. Synchronous; one thread at a time.

The laws:
- One chunk leaves for each credit, never more; chunks count from 0 without a gap.
- A reply begins at a chunk boundary with its audio token 0. A chunk waits for the look-ahead that
  its motion wants, but never longer than for speech: it then goes without. When its own speech
  comes late, silent chunks fill the time and the reply goes on with its next token after them.
- `Interrupt` drops the reply, rolls the motion back to the last chunk shown, continues with chunk
  `last_shown_chunk + 1`, and takes back all credit: the agent grants anew.
- A reply's moods lie over the call's own, guesses beneath it; between replies that shows alone.
- Any message of a higher epoch voids the speech of lower ones; messages of lower epochs are
  ignored, except for grants and moods, which are ordered by the socket.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.face import Face
from actor_server.motion.source import Condition, Floats, HeardWindow, Kind, MotionSource
from actor_server.saving import Saving
from actor_server.speech_queue import SpeechCut, TurnSpeech, silent_pcm
from proto.message import Message, Stamp
from proto.messages import AVChunk, Grant, HiddenChunk, Interrupt, Listen, Mood, SetMood
from proto.speech_features import MEL_BINS, TOKEN_MEL_FRAMES
from proto.time_law import CHUNK_AUDIO_TOKENS, CHUNK_US, chunk_pts_us

MAX_CREDIT: Final = 64
MAX_HEARD_TOKENS: Final = 8
"""Two chunks of the caller's voice: what came earlier is past, however late it arrived."""
LISTEN_MEMORY_US: Final = 1_500_000
"""The face goes on listening this long after the caller's last word."""


@dataclass(frozen=True)
class Pacing:
    """How long a granted chunk waits for speech."""

    idle_hold_us: int = 120_000
    underrun_hold_us: int = 240_000


@dataclass(frozen=True)
class _Slot:
    """A planned chunk: what the listener will hear in it."""

    pcm: NDArray[np.int16]
    turn: int
    first_token: int
    audio_tokens: int
    last: bool
    stamps: tuple[Stamp, ...] = ()
    """Of the chunk that begins a reply: what the reply has come through."""


class ActorSession:
    """The state of one call at the Actor."""

    def __init__(
        self,
        session_id: str,
        face: Face,
        source: MotionSource,
        seed: int,
        pacing: Pacing,
        epoch: int = 0,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self.session_id = session_id
        self._clock_us = clock_us
        self.epoch = epoch
        self.chunk = 0
        """Number of the next chunk to leave."""
        self.saving = Saving.NOTHING
        self._painter = face.painter()
        self._pacing = pacing
        self._sight = source.sight
        self._motion = source.open(face.reference, seed)
        self._begun = False
        """A pass was made for the next chunk: nothing is gained by waiting any more."""
        self._planned: deque[_Slot] = deque()
        self._undrawn: deque[_Slot] = deque()
        """Clean chunks that cannot be drawn before others have followed them."""
        self._speech: TurnSpeech | None = None
        self._turn = 0
        self._trace: tuple[Stamp, ...] = ()
        """The stamps of the reply's parts until its first chunk enters the window."""
        self._closing = False
        """The reply ended after its last token had left: the next chunk carries the mark."""
        self._grants: deque[int] = deque(maxlen=MAX_CREDIT)
        self._deadline_us = 0
        self._heard: deque[NDArray[np.float16]] = deque(maxlen=MAX_HEARD_TOKENS)
        self._caller_speaks = False
        self._caller_spoke_us = -LISTEN_MEMORY_US
        self._mood = Mood()
        """The call's own."""

    @property
    def credit(self) -> int:
        return len(self._grants)

    def ease(self, saving: Saving) -> None:
        """Save so much work from the next chunk on."""
        if saving != self.saving:
            self.saving = saving
            self._motion.ease(saving)
            self._painter.ease(saving)

    def close(self) -> None:
        """Free what the motion holds of its source."""
        self._motion.close()

    def deliver(self, message: Message, now_us: int) -> None:
        """Take one message. Raises SpeechRefused; the session stays usable after it."""
        if isinstance(message, Grant):
            self._raise_epoch(message.epoch)
            self._grants.extend([now_us] * min(message.credit, MAX_CREDIT - self.credit))
        elif isinstance(message, SetMood):
            self._mood = message.mood
        elif message.epoch < self.epoch:
            return
        elif isinstance(message, Interrupt):
            self._interrupt(message)
        elif isinstance(message, HiddenChunk):
            self._raise_epoch(message.epoch)
            self._hear_thinker(message)
        elif isinstance(message, Listen):
            self._raise_epoch(message.epoch)
            self._hear_caller(message, now_us)

    def due_us(self) -> int | None:
        """When the next chunk may be made, on the clock of `deliver`; None without credit."""
        if not self._grants:
            return None
        granted_us = self._grants[0]
        speech = self._speech
        if self.chunk == 0 or self._begun or (speech is not None and speech.ready):
            return granted_us
        if self._planned and self._planned[0].audio_tokens:
            return granted_us
        waits_in_turn = speech is not None and speech.spoken_tokens > 0
        hold = self._pacing.underrun_hold_us if waits_in_turn else self._pacing.idle_hold_us
        return granted_us + hold

    def deadline_us(self) -> int:
        """Orders sessions fairly: a burst of credit does not push others back."""
        granted_us = self._grants[0] if self._grants else 0
        return max(granted_us, self._deadline_us + CHUNK_US)

    def step(self, now_us: int) -> AVChunk | None:
        """Run one pass of the motion; the chunk that can be shown now, or None. Needs credit."""
        if not self._planned:
            self._plan(now_us)
        while len(self._planned) < self._motion.window and self._foreseen:
            self._plan(now_us)
        latents = self._motion.next_chunk()
        self._begun = True
        if latents is None:
            return None
        self._undrawn.append(self._stamped_clean(self._planned.popleft()))
        drawn = self._painter.draw(latents)
        if drawn is None:
            return None
        self._begun = False
        slot = self._undrawn.popleft()
        self._deadline_us = self.deadline_us()
        self._grants.popleft()
        chunk = AVChunk(
            session_id=self.session_id,
            epoch=self.epoch,
            chunk=self.chunk,
            pts_us=chunk_pts_us(self.chunk),
            turn=slot.turn,
            first_token=slot.first_token,
            audio_tokens=slot.audio_tokens,
            last=slot.last,
            motion_level=drawn.motion_level,
            pcm=slot.pcm,
            frames=drawn.frames,
            stamps=slot.stamps,
        )
        self.chunk += 1
        return chunk

    @property
    def _foreseen(self) -> bool:
        """Whether it is known already what the chunk after the planned ones will hold."""
        return self._speech is None or self._speech.ready

    def _plan(self, now_us: int) -> None:
        """Decide what the next chunk holds, and tell the motion."""
        heard = HeardWindow(self._caller_speaks, self._heard_features())
        cut: SpeechCut | None = None
        if self._speech is not None and self._speech.playable:
            cut = self._speech.cut()
        if cut is not None:
            window = cut.window
            moods = tuple(mood.over(self._mood) for mood in cut.moods)
            condition = Condition("speaking", self.epoch, window, heard, moods)
            stamps = self._entered(now_us) if window.first_token == 0 else ()
            slot = _Slot(
                cut.pcm, window.turn, window.first_token, window.audio_tokens, window.last, stamps
            )
        else:
            # late speech does not end the mood that it was said in
            mood = self._mood if self._speech is None else self._speech.mood.over(self._mood)
            moods = (mood,) * CHUNK_AUDIO_TOKENS
            condition = Condition(self._quiet_kind(now_us), self.epoch, heard=heard, moods=moods)
            spoken = 0 if self._speech is None else self._speech.spoken_tokens
            slot = _Slot(silent_pcm(), self._turn, spoken, 0, self._closing)
            self._closing = False
        self._motion.offer(condition)
        self._planned.append(slot)
        if self._speech is not None and self._speech.finished:
            self._speech = None

    def _entered(self, now_us: int) -> tuple[Stamp, ...]:
        """The reply's trace, and that its first chunk enters the window now."""
        stamps, self._trace = self._trace, ()
        if not stamps:
            return ()
        return (*stamps, Stamp(name="actor_entered", at_us=now_us, host=stamps[-1].host))

    def _stamped_clean(self, slot: _Slot) -> _Slot:
        """The same, and that the chunk is clean; drawing comes next."""
        if not slot.stamps or self._clock_us is None:
            return slot
        clean = Stamp(name="actor_clean", at_us=self._clock_us(), host=slot.stamps[-1].host)
        return replace(slot, stamps=(*slot.stamps, clean))

    def _quiet_kind(self, now_us: int) -> Kind:
        listening = self._caller_speaks or now_us - self._caller_spoke_us < LISTEN_MEMORY_US
        return "listening" if listening else "idle"

    def _heard_features(self) -> Floats:
        tokens = [self._heard.popleft() for _ in range(len(self._heard))]
        if not tokens:
            return np.zeros((0, TOKEN_MEL_FRAMES, MEL_BINS), np.float32)
        return np.stack(tokens).astype(np.float32)

    def _hear_caller(self, message: Listen, now_us: int) -> None:
        self._heard.extend(message.features)
        self._caller_speaks = message.speaking
        if message.speaking:
            self._caller_spoke_us = now_us

    def _hear_thinker(self, part: HiddenChunk) -> None:
        if self._speech is None or self._speech.turn != part.turn:
            self._drop_speech()
            self._speech = TurnSpeech(
                part.turn, self._sight.history_tokens, self._sight.lookahead_tokens
            )
            self._turn = part.turn
            self._trace = part.stamps
        elif self._trace:  # the first chunk waits for this part, perhaps
            known = {stamp.name for stamp in self._trace}
            self._trace += tuple(stamp for stamp in part.stamps if stamp.name not in known)
        self._speech.extend(part)
        if self._speech.finished:
            self._speech = None
            self._closing = True

    def _raise_epoch(self, epoch: int) -> None:
        if epoch > self.epoch:
            self.epoch = epoch
            self._drop_speech()

    def _drop_speech(self) -> None:
        """Forget the reply, and every chunk in flight: quiet ones must not stand before a word."""
        self._speech = None
        self._closing = False
        self._motion.flush(self.epoch + 1)
        self._planned.clear()
        self._begun = False
        if self._undrawn:
            self._go_back(self.chunk - 1)

    def _interrupt(self, message: Interrupt) -> None:
        self._raise_epoch(message.epoch)
        self._drop_speech()
        self._grants.clear()
        self._go_back(min(message.last_shown_chunk, self.chunk - 1))

    def _go_back(self, shown: int) -> None:
        """Forget every chunk after the last one shown, -1: all."""
        self._motion.rollback(shown)
        self._painter.rollback(shown)
        self._undrawn.clear()
        self.chunk = shown + 1
