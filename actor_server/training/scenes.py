"""Invents training sequences of 8-20 s: long replies, calls with pauses, GRID's motion.

Everything is drawn from one generator, so a sequence is named by its seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actor_server.motion.conditioning import Visibility
from actor_server.training.caller import Caller
from actor_server.training.disguise import Disguise
from actor_server.training.grid_motion import GridClip
from actor_server.training.recital import Recital, Reply
from actor_server.training.script import Beat, Heard, Recorded, Script
from actor_server.training.turns import Telling, heard_chunks, joined_clips
from proto.messages import HiddenChunk
from proto.time_law import CHUNK_FRAMES

CHUNKS: Final = (25, 62)
"""8-20 s."""
HIDE_PHONES: Final = 0.4
"""Share of sequences told without phones, as by voices that have no phone times."""
HIDE_TEXT: Final = 0.5
"""Share of sequences told without text states, as by any other brain."""
PLAIN_VOICE: Final = 0.35
"""Share of sequences with the voice just as the product makes it."""
MOST_LEAD_PARTS: Final = 12
BLIND_CHANCE: Final = 0.06
"""Share of chunks that had to be made without their look-ahead."""
INTERRUPT_CHANCE: Final = 0.15
SHORTEST_CUT: Final = 4
"""Chunks of a reply that may be interrupted."""
LATE_CHANCE: Final = 0.05
LATE_CHUNKS: Final = (1, 3)
"""Speech that comes late leaves a hole in a reply."""
OPENING_CHANCE: Final = 0.3
"""Share of sequences that begin as a call does, from the portrait at rest."""
WARM_UP_CHUNKS: Final = (3, 30)
CALLER_TALKS: Final = (4, 26)
THINKING: Final = (1, 5)
IDLE: Final = (3, 15)
BETWEEN_REPLIES: Final = (1, 4)
CLIPS_IN_A_TURN: Final = (2, 6)


@dataclass
class Stage:
    """A script in the making: own speech and the caller's, chunk by chunk."""

    speech: list[Heard | None] = field(default_factory=list)
    talks: list[bool] = field(default_factory=list)

    def wait(self, chunks: int, caller_talks: bool = False) -> None:
        """The avatar is quiet."""
        self.speech += [None] * chunks
        self.talks += [caller_talks] * chunks

    def speak(self, heard: Sequence[Heard]) -> None:
        """The avatar has the word."""
        self.speech += heard
        self.talks += [False] * len(heard)

    def beats(self, caller: Caller, chunks: int, dice: np.random.Generator) -> tuple[Beat, ...]:
        """The first `chunks` of it, with what is heard of the caller."""
        speech, talks = self.speech[:chunks], self.talks[:chunks]
        windows = caller.windows(talks, dice)
        blind = dice.random(len(speech)) < BLIND_CHANCE
        return tuple(
            Beat(own, window, bool(late))
            for own, window, late in zip(speech, windows, blind, strict=True)
        )


@dataclass(frozen=True)
class RecitedSpeaker:
    """Somebody else's recited replies, as a caller's voice."""

    replies: tuple[Reply, ...]

    def features(self, dice: np.random.Generator) -> NDArray[np.floating]:
        """See `Speaker`."""
        parts = self.replies[int(dice.integers(len(self.replies)))].parts()
        return np.concatenate([part.features for part in parts if part.features is not None])


@dataclass
class Scenes:
    """One sequence after another from one generator."""

    dice: np.random.Generator
    sight: Visibility
    recital: Recital
    turn: int = 0

    def spoken(self) -> Script:
        """Replies one after another, with short breaks."""
        stage, chunks = Stage(), self._chunks()
        replies, telling = self.recital.cast(self.dice), self._telling()
        stage.wait(int(self.dice.integers(0, 3)))
        while len(stage.speech) < chunks:
            stage.speak(self._reply(replies, telling))
            stage.wait(int(self.dice.integers(*BETWEEN_REPLIES)))
        return self._script("spoken", stage, chunks, voice=replies[0].voice)

    def mixed(self) -> Script:
        """A call: the caller talks, the avatar answers or is interrupted, nobody talks."""
        stage, chunks = Stage(), self._chunks()
        replies, telling = self.recital.cast(self.dice), self._telling()
        scene = int(self.dice.integers(3))
        while len(stage.speech) < chunks:
            if scene == 0:
                stage.wait(int(self.dice.integers(*CALLER_TALKS)), caller_talks=True)
                stage.wait(int(self.dice.integers(*THINKING)))
            elif scene == 1:
                self._answer(stage, self._reply(replies, telling))
            else:
                stage.wait(int(self.dice.integers(*IDLE)))
            scene = (scene + 1 + int(self.dice.random() < 0.2)) % 3
        return self._script("mixed", stage, chunks, voice=replies[0].voice)

    def grid(self, clips: Sequence[GridClip], natural: bool) -> Script:
        """Clips of one real speaker as turns of a call; `natural`: with the voice as it is."""
        stage, recorded = Stage(), []
        stage.wait(int(self.dice.integers(0, 4)))
        waiting = list(clips)
        telling = self._telling(natural)
        while waiting:
            count = int(self.dice.integers(*CLIPS_IN_A_TURN))
            said, waiting = waiting[:count], waiting[count:]
            joined = joined_clips(said, self.dice)
            first = len(stage.speech) * CHUNK_FRAMES
            recorded += [
                Recorded(first + start, clip)
                for start, clip in zip(joined.starts, said, strict=True)
            ]
            stage.speak(self._turn([joined.message], telling))
            stage.wait(int(self.dice.integers(*BETWEEN_REPLIES)))
        return self._script("grid", stage, len(stage.speech), tuple(recorded))

    def _script(
        self,
        source: str,
        stage: Stage,
        chunks: int,
        recorded: tuple[Recorded, ...] = (),
        voice: str = "",
    ) -> Script:
        speaker = RecitedSpeaker(self.recital.cast(self.dice))
        beats = stage.beats(Caller.draw(speaker, self.dice), chunks, self.dice)
        warm_up = 0
        if self.dice.random() >= OPENING_CHANCE:
            warm_up = int(self.dice.integers(*WARM_UP_CHUNKS))
        return Script(source, beats, recorded, warm_up, voice)

    def _answer(self, stage: Stage, heard: list[Heard]) -> None:
        """A reply, perhaps cut off by the caller, or with a hole in it."""
        fate = self.dice.random()
        if len(heard) < SHORTEST_CUT or fate >= INTERRUPT_CHANCE + LATE_CHANCE:
            stage.speak(heard)
            return
        cut = int(self.dice.integers(2, len(heard)))
        stage.speak(heard[:cut])
        if fate < INTERRUPT_CHANCE:
            stage.talks[-1] = True
            stage.wait(int(self.dice.integers(*CALLER_TALKS)), caller_talks=True)
        else:
            stage.wait(int(self.dice.integers(*LATE_CHUNKS)))
            stage.speak(heard[cut:])

    def _reply(self, replies: Sequence[Reply], telling: Telling) -> list[Heard]:
        return self._turn(replies[int(self.dice.integers(len(replies)))].parts(), telling)

    def _turn(self, parts: Sequence[HiddenChunk], telling: Telling) -> list[Heard]:
        self.turn += 1
        noise_seed = int(self.dice.integers(2**32))
        return heard_chunks(parts, self.turn, self.sight, telling, noise_seed)

    def _telling(self, natural: bool = False) -> Telling:
        plain = natural or self.dice.random() < PLAIN_VOICE
        return Telling(
            disguise=Disguise() if plain else Disguise.draw(self.dice),
            with_phones=bool(self.dice.random() >= HIDE_PHONES),
            with_text=bool(self.dice.random() >= HIDE_TEXT),
            lead_parts=int(self.dice.integers(MOST_LEAD_PARTS + 1)),
        )

    def _chunks(self) -> int:
        return int(self.dice.integers(CHUNKS[0], CHUNKS[1] + 1))
