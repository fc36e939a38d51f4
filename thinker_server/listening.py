"""One turn of the caller: audio goes in without waiting, text comes out as it becomes known.

The recogniser works ahead of the turn's end: it transcribes when the voice falls silent, be it
between two words. When the turn then pauses, its text is known, for only silence came since.
"""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from proto.last_sound import LastSound
from proto.time_law import HEARING_BLOCK_SAMPLES, HEARING_HZ
from thinker_server.hearing.recogniser import HearingStream
from thinker_server.workers import Workers

BLOCK_US = HEARING_BLOCK_SAMPLES * 1_000_000 // HEARING_HZ
BREAK_US = 40_000
"""So much silence may be the end: cut here, recorded questions have the same text as cut later.
Voice activity is sure of a pause some 0.1 s later, which is what a transcription takes."""
UPDATE_US = 2_000_000
"""Voice without a break is transcribed so often, for the captions."""
TRUSTED_US = 400_000
"""So much silence since the last transcription may be taken for silence when the text is asked for;
in more of it there may be words: quiet ones after a bang."""
MAX_WAITING_BLOCKS = 3000
"""One minute of audio that the recogniser has not taken yet; then the oldest is dropped."""
OnText = Callable[[str], Awaitable[None]]


class ListeningTurn:
    """Feeds a stream from `run`, in a worker thread; `settle` gives the text of what was heard."""

    def __init__(self, stream: HearingStream, turn: int, workers: Workers, on_text: OnText) -> None:
        self.turn = turn
        self.stream = stream
        self._workers = workers
        self._on_text = on_text
        self._blocks: list[np.ndarray] = []
        self._asked: list[asyncio.Future[str]] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._sound = LastSound()
        self._heard_us = 0
        self._transcribed_us = 0
        self._text = ""

    def hear(self, pcm: np.ndarray) -> bool:
        """Take one block (320,) int16 without waiting; False when an old one had to go for it."""
        full = len(self._blocks) >= MAX_WAITING_BLOCKS
        if full:
            self._blocks.pop(0)
        self._blocks.append(pcm)
        self._heard_us += BLOCK_US
        self._sound.hear(pcm, self._heard_us, voiced=True)
        if self._is_due():
            self._wake.set()
        return not full

    @property
    def text(self) -> str:
        """As far as it was transcribed."""
        return self._text

    async def settle(self) -> str:
        """The text of everything heard up to now; more may follow."""
        asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._wake.set()
        return await asked

    def stop(self) -> None:
        """End `run` soon; questions that are still open are cancelled."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped, then free the stream."""
        try:
            while not self._stopping:
                await self._wake.wait()
                self._wake.clear()
                asked = len(self._asked)
                if self._is_due() or (asked and self._is_uncertain()):
                    await self._transcribe()
                self._answer(asked)
        finally:
            for question in self._asked:
                question.cancel()
            self._workers.hearing.submit(self.stream.close)

    def _is_behind(self) -> bool:
        """Whether there is sound that the text does not hold."""
        return self._transcribed_us < self._sound.at_us

    def _is_uncertain(self) -> bool:
        """Whether the text may lack something."""
        return self._is_behind() or self._heard_us - self._transcribed_us > TRUSTED_US

    def _is_due(self) -> bool:
        silent_us = self._heard_us - self._sound.at_us
        unknown_us = self._sound.at_us - self._transcribed_us
        return self._is_behind() and (silent_us >= BREAK_US or unknown_us >= UPDATE_US)

    async def _transcribe(self) -> None:
        pcm, self._blocks = np.concatenate(self._blocks), []
        self._transcribed_us = self._heard_us
        text = await self._workers.hear(lambda: self._text_with(pcm))
        if text != self._text:
            self._text = text
            if not self._stopping:
                await self._on_text(text)

    def _text_with(self, pcm: np.ndarray) -> str:
        """In the recogniser's thread."""
        self.stream.hear(pcm)
        return self.stream.transcribe()

    def _answer(self, asked: int) -> None:
        """Those who asked before the text was made get it."""
        if self._stopping:
            return
        answered, self._asked = self._asked[:asked], self._asked[asked:]
        for question in answered:
            if not question.done():
                question.set_result(self._text)
