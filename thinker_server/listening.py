"""One turn of the caller: audio goes in without waiting, text comes out as it becomes known."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from thinker_server.hearing.recogniser import HearingStream
from thinker_server.workers import Workers

BATCH_BLOCKS = 5
"""The recogniser is called once for 100 ms, or for less when the turn pauses."""
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
        self._text = ""

    def hear(self, pcm: np.ndarray) -> bool:
        """Take one block (320,) int16 without waiting; False when an old one had to go for it."""
        full = len(self._blocks) >= MAX_WAITING_BLOCKS
        if full:
            self._blocks.pop(0)
        self._blocks.append(pcm)
        if len(self._blocks) >= BATCH_BLOCKS:
            self._wake.set()
        return not full

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
                await self._take_in()
                await self._answer()
        finally:
            for question in self._asked:
                question.cancel()
            self._workers.hearing.submit(self.stream.close)

    async def _take_in(self) -> None:
        if not self._blocks or self._stopping:
            return
        pcm, self._blocks = np.concatenate(self._blocks), []
        text = await self._workers.hear(lambda: self.stream.hear(pcm))
        if text != self._text:
            self._text = text
            await self._on_text(text)

    async def _answer(self) -> None:
        if not self._asked or self._stopping:
            return
        asked, self._asked = self._asked, []
        await self._take_in()  # the end of the turn may have come while the recogniser was busy
        text = await self._workers.hear(self.stream.settle)
        for question in asked:
            if not question.done():
                question.set_result(text)
