"""Playout: audio is the clock, and each frame is shown when its first sample leaves the queue.

The audio source is never awaited with a timeout and never cancelled: emptying its queue is what
makes it return. Video needs no task: a frame is scheduled on the event loop when its sound is
queued, and unscheduled when that sound is cut.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import numpy as np

from proto.messages import AVChunk
from services.room_agent.call_clock import call_us
from services.room_agent.playhead import BLOCK_SAMPLES, BLOCK_US, Block, Heard, Playhead
from services.room_agent.queue_level import QueueLevel
from services.room_agent.stand_in import StandIn

LOW_WATER_US = 40_000
"""With less audio than this ahead and no chunk there, silence is queued."""


class AudioSink(Protocol):
    """Speech at 24 kHz. `push` returns when at most the sink's capacity waits to be played."""

    async def push(self, pcm: np.ndarray) -> None: ...

    def clear(self) -> None: ...


class VideoSink(Protocol):
    """Takes (384, 256) I420 frames, to be shown at once."""

    def show(self, frame: np.ndarray) -> None: ...


class Playout:
    """One call's way out. `on_shown` hears of every block that begins to sound with a frame."""

    def __init__(
        self,
        audio: AudioSink,
        video: VideoSink,
        capacity_us: int,
        on_shown: Callable[[Block], None],
        on_room: Callable[[], None],
    ) -> None:
        self._audio = audio
        self._video = video
        self._on_shown = on_shown
        self._on_room = on_room
        self._playhead = Playhead()
        self._level = QueueLevel(capacity_us)
        self._scheduled: dict[int, asyncio.TimerHandle] = {}
        self._blocks = 0
        self._stand_in = StandIn()
        self._held = False
        self._wake = asyncio.Event()

    @property
    def chunks_ahead(self) -> int:
        """Chunks that have not begun to play."""
        return self._playhead.chunks_ahead

    @property
    def ahead_us(self) -> int:
        """Media time until silence."""
        return self._playhead.unqueued_us + self._level.at(call_us())

    @property
    def speaking(self) -> bool:
        """Whether speech sounds or is about to."""
        self._settle()
        return self._playhead.speaking

    @property
    def filler_blocks(self) -> int:
        """How many 20-ms blocks of silence stood in for chunks that were late."""
        return self._playhead.filler_blocks

    def append(self, chunk: AVChunk) -> None:
        """Play this chunk after the ones before it."""
        self._playhead.append(chunk)
        self._wake.set()

    def drop_unheard(self) -> None:
        """Void everything that has not sounded yet: silence at once."""
        self._empty_queue()
        self._playhead.clear()
        self._held = False
        self._wake.set()

    def renumber(self) -> None:
        """The Actor counts chunks from 0 again."""
        self._playhead.renumber()

    def hold(self) -> None:
        """Fall silent, but keep what was not heard: the caller may only have coughed."""
        self._empty_queue()
        self._playhead.rewind()
        self._held = True
        self._wake.set()

    def resume(self) -> None:
        """Go on where `hold` stopped."""
        if self._held:
            self._held = False
            self._wake.set()

    def heard(self, turn: int) -> Heard:
        """How much of a reply has sounded by now."""
        self._settle()
        return self._playhead.heard(turn)

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            block = self._next_block()
            if block is None:
                await self._wait_for_chunk()
                continue
            await self._play(block)
            self._on_room()

    def _next_block(self) -> Block | None:
        block = None if self._held else self._playhead.next_block()
        if block is None and self._level.at(call_us()) <= LOW_WATER_US:
            return self._playhead.filler()
        return block

    async def _wait_for_chunk(self) -> None:
        """Until a chunk comes, but not longer than silence can wait."""
        self._wake.clear()
        spare_us = self._level.at(call_us()) - LOW_WATER_US
        try:
            async with asyncio.timeout(max(spare_us, 1_000) / 1e6):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _play(self, block: Block) -> None:
        begun_us = call_us()
        ahead_us = self._level.pushed(BLOCK_US, begun_us)
        if block.begins_frame:
            self._blocks += 1
            self._scheduled[self._blocks] = asyncio.get_running_loop().call_later(
                ahead_us / 1e6, self._show, self._blocks, block
            )
        await self._audio.push(block.pcm)
        self._level.returned(begun_us, call_us())
        self._settle()

    def _show(self, number: int, block: Block) -> None:
        del self._scheduled[number]
        if (frame := self._face_of(block)) is not None:
            self._video.show(frame)
        self._on_shown(block)

    def _face_of(self, block: Block) -> np.ndarray | None:
        if block.chunk is None or block.frame is None:
            return self._stand_in.missing()
        return self._stand_in.real(block.frame, quiet=not block.chunk.audio_tokens)

    def _settle(self) -> None:
        queued_us = self._level.at(call_us())
        self._playhead.settle(queued_us * BLOCK_SAMPLES // BLOCK_US)

    def _empty_queue(self) -> None:
        self._settle()
        self._audio.clear()
        self._level.cleared(call_us())
        for due in self._scheduled.values():
            due.cancel()
        self._scheduled.clear()
