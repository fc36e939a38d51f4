"""Listening to a turn: what is settled holds everything heard before, however busy the model is."""

import asyncio
import threading

import numpy as np
import pytest

from thinker_server.listening import BATCH_BLOCKS, ListeningTurn
from thinker_server.workers import Workers

pytestmark = pytest.mark.unit


class SlowStream:
    """Counts samples; its first `hear` lasts until it is told to go on."""

    def __init__(self) -> None:
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.samples = 0

    def hear(self, pcm: np.ndarray) -> str:
        self.busy.set()
        assert self.go_on.wait(5)
        self.samples += len(pcm)
        return str(self.samples)

    def settle(self) -> str:
        return str(self.samples)

    def close(self) -> None:
        pass


async def test_words_that_came_while_the_recogniser_was_busy_are_not_lost() -> None:
    stream, workers = SlowStream(), Workers()

    async def on_text(text: str) -> None:
        del text

    turn = ListeningTurn(stream, 1, workers, on_text)
    block = np.zeros(320, np.int16)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(turn.run())
        for _ in range(BATCH_BLOCKS):
            turn.hear(block)
        assert await asyncio.to_thread(stream.busy.wait, 5)
        for _ in range(BATCH_BLOCKS - 1):
            turn.hear(block)  # the last word, while the model still works on the first
        settled = tasks.create_task(turn.settle())
        await asyncio.sleep(0)
        stream.go_on.set()
        assert await settled == str((2 * BATCH_BLOCKS - 1) * 320)
        turn.stop()
    workers.close()
