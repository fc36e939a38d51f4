"""Listening to a turn: its text holds everything heard, mostly made before it is asked for."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from proto.time_law import HEARING_BLOCK_SAMPLES
from thinker_server.listening import BLOCK_US, BREAK_US, TRUSTED_US, UPDATE_US, ListeningTurn
from thinker_server.workers import Workers

pytestmark = pytest.mark.unit

VOICE = np.full(HEARING_BLOCK_SAMPLES, 5000, np.int16)
SILENCE = np.zeros(HEARING_BLOCK_SAMPLES, np.int16)
BREAK_BLOCKS = BREAK_US // BLOCK_US


class CountingStream:
    """Its text is how many samples it heard; it transcribes only while `go_on` is set."""

    def __init__(self) -> None:
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.samples = 0
        self.transcriptions = 0
        self.closed = False

    def hear(self, pcm: np.ndarray) -> None:
        self.samples += len(pcm)

    def transcribe(self) -> str:
        heard = self.samples
        self.transcriptions += 1
        self.busy.set()
        assert self.go_on.wait(5)
        return str(heard)

    def close(self) -> None:
        self.closed = True


def blocks(count: int) -> str:
    """The text of so many blocks."""
    return str(count * HEARING_BLOCK_SAMPLES)


@asynccontextmanager
async def listening(
    stream: CountingStream, told: list[str] | None = None
) -> AsyncIterator[ListeningTurn]:
    workers = Workers()

    async def on_text(text: str) -> None:
        if told is not None:
            told.append(text)

    turn = ListeningTurn(stream, 1, workers, on_text)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(turn.run())
        yield turn
        turn.stop()
    await workers.hear(lambda: None)  # what was asked of the thread before
    assert stream.closed
    workers.close()


async def until(happened: threading.Event) -> None:
    assert await asyncio.to_thread(happened.wait, 5)


async def test_a_pause_after_a_break_finds_its_text_made() -> None:
    stream = CountingStream()
    async with listening(stream) as turn:
        for block in [VOICE] * 5 + [SILENCE] * BREAK_BLOCKS:
            turn.hear(block)
        await until(stream.busy)
        for _ in range(5):
            turn.hear(SILENCE)
        assert await turn.settle() == blocks(5 + BREAK_BLOCKS)
        assert stream.transcriptions == 1


async def test_words_that_came_while_the_recogniser_was_busy_are_not_lost() -> None:
    stream = CountingStream()
    stream.go_on.clear()
    async with listening(stream) as turn:
        for block in [VOICE] * 5 + [SILENCE] * BREAK_BLOCKS:
            turn.hear(block)
        await until(stream.busy)
        turn.hear(VOICE)  # the last word, while the model still works on the first
        settled = asyncio.ensure_future(turn.settle())
        await asyncio.sleep(0)
        stream.go_on.set()
        assert await settled == blocks(5 + BREAK_BLOCKS + 1)


async def test_voice_without_a_break_is_told_from_time_to_time() -> None:
    stream, told = CountingStream(), []
    async with listening(stream, told) as turn:
        for _ in range(2):
            stream.busy.clear()
            for _ in range(UPDATE_US // BLOCK_US):
                turn.hear(VOICE)
            await until(stream.busy)
            await asyncio.sleep(0.05)
    assert told == [blocks(UPDATE_US // BLOCK_US), blocks(2 * UPDATE_US // BLOCK_US)]


async def test_a_turn_in_which_nothing_was_heard_has_no_text() -> None:
    stream = CountingStream()
    async with listening(stream) as turn:
        assert await turn.settle() == ""
        assert stream.transcriptions == 0


async def test_quiet_words_after_a_bang_are_not_taken_for_silence() -> None:
    stream, bang, whisper = CountingStream(), 6 * VOICE, VOICE // 200
    async with listening(stream) as turn:
        for block in [bang] * 5 + [SILENCE] * BREAK_BLOCKS:
            turn.hear(block)
        await until(stream.busy)
        quiet = TRUSTED_US // BLOCK_US + 1
        for _ in range(quiet):
            turn.hear(whisper)
        assert await turn.settle() == blocks(5 + BREAK_BLOCKS + quiet)


async def test_who_asks_when_the_turn_is_dropped_is_not_left_waiting() -> None:
    stream = CountingStream()
    stream.go_on.clear()
    async with listening(stream) as turn:
        turn.hear(VOICE)
        settled = asyncio.ensure_future(turn.settle())
        await until(stream.busy)
        turn.stop()
        stream.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await settled
