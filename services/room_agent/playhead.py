"""What has been played, is queued and comes next: the accounting of playout, pure.

Speech and face are cut into blocks of 20 ms; every other block begins a frame. Positions count
samples at 24 kHz. What was heard follows from the level of the audio queue, not from wall time.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from proto.message import MAX_COUNT
from proto.messages import AVChunk
from proto.time_law import CHUNK_SAMPLES, FRAME_SAMPLES, SPEECH_HZ, TOKEN_SAMPLES

BLOCK_SAMPLES = FRAME_SAMPLES // 2
BLOCK_US = BLOCK_SAMPLES * 1_000_000 // SPEECH_HZ
MAX_CHUNKS = 64
_SILENCE = np.zeros(BLOCK_SAMPLES, np.int16)


@dataclass(frozen=True)
class Block:
    """20 ms to play. Without a chunk it is filler: silence under the last frame again."""

    chunk: AVChunk | None
    offset: int

    @property
    def pcm(self) -> np.ndarray:
        """(BLOCK_SAMPLES,) s16."""
        if self.chunk is None:
            return _SILENCE
        return self.chunk.pcm[self.offset : self.offset + BLOCK_SAMPLES]

    @property
    def begins_frame(self) -> bool:
        """Whether a frame is shown when this block starts to sound."""
        return self.offset % FRAME_SAMPLES == 0

    @property
    def token(self) -> int:
        """The place in its reply, in audio tokens; silence after the speech counts on."""
        first = 0 if self.chunk is None else self.chunk.first_token
        return first + self.offset // TOKEN_SAMPLES

    @property
    def speaks(self) -> bool:
        """Whether speech sounds in it."""
        return self.chunk is not None and self.offset < self.chunk.audio_tokens * TOKEN_SAMPLES

    @property
    def is_last(self) -> bool:
        """Whether the Actor makes no speech of this reply that comes after this token."""
        chunk = self.chunk
        if chunk is None or not chunk.last:
            return False
        return self.offset // TOKEN_SAMPLES >= chunk.audio_tokens - 1

    @property
    def ends_token(self) -> bool:
        """Whether its frame is the last one of its audio token."""
        return self.offset % TOKEN_SAMPLES >= TOKEN_SAMPLES - FRAME_SAMPLES

    @property
    def frame(self) -> np.ndarray | None:
        """(384, 256) I420 to show; None: what was shown last."""
        return None if self.chunk is None else self.chunk.frames[self.offset // FRAME_SAMPLES]


@dataclass(frozen=True)
class Heard:
    """How far the caller has heard and seen when something is cut off.

    `tokens`: audio tokens of reply `turn` that sounded whole. `last_shown_chunk`: -1 if none.
    """

    turn: int
    tokens: int
    last_shown_chunk: int


class Playhead:
    """Chunks in, blocks out; and what the caller has heard of them."""

    def __init__(self) -> None:
        self._chunks: deque[AVChunk] = deque()
        self._offset = 0
        self._queued: deque[Block] = deque()
        self._filler_offset = 0
        self._heard: dict[int, int] = {}
        self._last_shown_chunk = -1
        self.filler_blocks = 0

    @property
    def chunks_ahead(self) -> int:
        """Chunks of which no block was taken yet."""
        return len(self._chunks) - (1 if self._offset else 0)

    @property
    def unqueued_us(self) -> int:
        """Media time that waits to be taken."""
        samples = len(self._chunks) * CHUNK_SAMPLES - self._offset
        return samples * 1_000_000 // SPEECH_HZ

    @property
    def speaking(self) -> bool:
        """Whether speech is queued or waits."""
        chunks = [block.chunk for block in self._queued if block.chunk] + list(self._chunks)
        return any(chunk.audio_tokens for chunk in chunks)

    def append(self, chunk: AVChunk) -> None:
        """Play this chunk after the ones before it; far more than was ever granted is dropped."""
        if len(self._chunks) < MAX_CHUNKS:
            self._chunks.append(chunk)

    def next_block(self) -> Block | None:
        """Take the next block of the chunks; None when there is none."""
        if not self._chunks:
            return None
        block = Block(self._chunks[0], self._offset)
        self._offset += BLOCK_SAMPLES
        if self._offset == CHUNK_SAMPLES:
            self._chunks.popleft()
            self._offset = 0
        return self._taken(block)

    def filler(self) -> Block:
        """A block to play because nothing else is there; media time goes on."""
        block = Block(None, self._filler_offset)
        self._filler_offset = BLOCK_SAMPLES - self._filler_offset
        self.filler_blocks += 1
        return self._taken(block)

    def _taken(self, block: Block) -> Block:
        self._queued.append(block)
        return block

    def settle(self, queued_samples: int) -> None:
        """Count as heard what was taken and is not in the audio queue of this length any more."""
        keep = -(-queued_samples // BLOCK_SAMPLES)
        while len(self._queued) > keep:
            self._count(self._queued.popleft(), BLOCK_SAMPLES)
        part = len(self._queued) * BLOCK_SAMPLES - queued_samples
        if self._queued and part > 0:
            self._count(self._queued[0], part)

    def _count(self, block: Block, samples: int) -> None:
        if (chunk := block.chunk) is None:
            return
        self._last_shown_chunk = chunk.chunk
        if chunk.audio_tokens:
            sounded = min((block.offset + samples) // TOKEN_SAMPLES, chunk.audio_tokens)
            heard = min(chunk.first_token + sounded, MAX_COUNT)
            self._heard[chunk.turn] = max(self._heard.get(chunk.turn, 0), heard)

    def heard(self, turn: int) -> Heard:
        """How much of a reply has been heard, as of the last `settle`."""
        return Heard(turn, self._heard.get(turn, 0), self._last_shown_chunk)

    def clear(self) -> None:
        """The audio queue was emptied: forget everything that was not heard."""
        self._queued.clear()
        self._chunks.clear()
        self._offset = 0

    def renumber(self) -> None:
        """The Actor's session is new: it has shown nothing."""
        self._last_shown_chunk = -1

    def rewind(self) -> None:
        """The audio queue was emptied unheard: its blocks come again."""
        unheard = [block for block in self._queued if block.chunk is not None]
        self._queued.clear()
        for block in reversed(unheard):
            assert block.chunk is not None
            if not self._chunks or self._chunks[0] is not block.chunk:
                self._chunks.appendleft(block.chunk)
            self._offset = block.offset
