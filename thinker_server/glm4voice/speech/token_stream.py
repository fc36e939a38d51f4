"""One turn of the caller as speech tokens: closed blocks are kept, only the open one is redone.

A 30-s segment is tokenised for itself, in blocks of 4 s. The features of a segment are lifted to a
floor that its loudest value sets, so a louder sound can change blocks that are closed already:
these are then encoded anew. That keeps the law that a stream gives at any time exactly the tokens
of all samples so far.
"""

from dataclasses import dataclass

import numpy as np
import torch

from thinker_server.glm4voice.speech.encoder import BlockMemory, SpeechEncoder
from thinker_server.glm4voice.speech.geometry import (
    FRAMES_PER_POSITION,
    FRAMES_PER_TOKEN,
    POSITIONS_PER_TOKEN,
    TOKEN_SAMPLES,
)
from thinker_server.glm4voice.speech.log_mel import (
    HOP_SAMPLES,
    RANGE_DECADES,
    WINDOW_SAMPLES,
    log_power,
    normalised,
)

_FULL_SCALE = 32768.0
_LOOK_AHEAD_SAMPLES = WINDOW_SAMPLES // 2 - HOP_SAMPLES
"""Samples after a block that its last frame sees."""
_LOOK_AHEAD_FRAMES = -(-(WINDOW_SAMPLES // 2) // HOP_SAMPLES)
"""Frames after the last sample whose window still reaches it."""


@dataclass(frozen=True)
class _ClosedBlock:
    log_mel: torch.Tensor  # (128, block frames), not normalised
    least: float
    loudest: float
    peak: float
    memory: BlockMemory
    tokens: list[int]

    def stale(self, peak: float) -> bool:
        """Whether another peak of the segment gives other features."""
        return peak != self.peak and self.least < max(peak, self.peak) - RANGE_DECADES


class SpeechTokenStream:
    """Feed it with `hear`; `tokens` are those of everything heard so far."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        self._encoder = encoder
        self._whole: list[int] = []
        self._segment = _Segment(encoder, first=True)

    def hear(self, pcm: np.ndarray) -> None:
        """Take speech (N,) int16 at 16 kHz; blocks that are complete are encoded now."""
        samples = torch.from_numpy(pcm.astype(np.float32) / _FULL_SCALE)
        while len(samples):
            if self._segment.room == 0:
                self._whole += self._segment.tokens()
                self._segment = _Segment(self._encoder, first=False)
            taken = min(len(samples), self._segment.room)
            self._segment.hear(samples[:taken])
            samples = samples[taken:]

    def tokens(self) -> list[int]:
        """Codes of all speech so far, one for each 80 ms begun."""
        return [*self._whole, *self._segment.tokens()]


class _Segment:
    def __init__(self, encoder: SpeechEncoder, first: bool) -> None:
        self._encoder = encoder
        self._first = first
        device = encoder.codebook.weight.device
        self._signal = torch.zeros(encoder.geometry.segment_samples, device=device)
        self._heard = 0
        self._closed: list[_ClosedBlock] = []

    @property
    def room(self) -> int:
        """Samples that still fit."""
        return len(self._signal) - self._heard

    @torch.inference_mode()
    def hear(self, samples: torch.Tensor) -> None:
        """Take no more samples than there is room for."""
        self._signal[self._heard : self._heard + len(samples)] = samples
        self._heard += len(samples)
        block_frames = self._encoder.geometry.block_frames
        while True:
            start = len(self._closed) * block_frames
            end = start + block_frames
            if end * HOP_SAMPLES + _LOOK_AHEAD_SAMPLES > self._heard:
                return
            log_mel = log_power(self._signal, start, end)
            peak = self._peak(log_mel)
            self._renew(peak)
            self._close(log_mel, peak)

    @torch.inference_mode()
    def tokens(self) -> list[int]:
        """Codes of the closed blocks and of the open one, as far as it goes."""
        count = -(-self._heard // TOKEN_SAMPLES)
        start = len(self._closed) * self._encoder.geometry.block_frames
        last = count * FRAMES_PER_TOKEN
        open_tokens: list[int] = []
        if last > start:
            # The first segment ends with its samples; upstream pads the others to full length.
            padded = self._signal[: count * TOKEN_SAMPLES] if self._first else self._signal
            beyond = min(last + _LOOK_AHEAD_FRAMES, len(padded) // HOP_SAMPLES)
            log_mel = log_power(padded, start, beyond)
            peak = self._peak(log_mel)
            self._renew(peak)
            past = [block.memory for block in self._closed]
            open_tokens = self._encode(log_mel[:, : last - start], start, past, peak)[0]
        return [token for block in self._closed for token in block.tokens] + open_tokens

    def _peak(self, log_mel: torch.Tensor) -> float:
        """The loudest value of the closed blocks and of what follows them."""
        return max(float(log_mel.max()), *(block.loudest for block in self._closed), -torch.inf)

    def _renew(self, peak: float) -> None:
        """Encode anew every closed block from the first that this peak changes."""
        first = next((i for i, block in enumerate(self._closed) if block.stale(peak)), None)
        if first is None:
            return
        changed, self._closed = self._closed[first:], self._closed[:first]
        for block in changed:
            self._close(block.log_mel, peak)

    def _close(self, log_mel: torch.Tensor, peak: float) -> None:
        """Encode a complete block and keep it."""
        start = len(self._closed) * self._encoder.geometry.block_frames
        past = [block.memory for block in self._closed]
        tokens, memory = self._encode(log_mel, start, past, peak)
        least, loudest = (float(value) for value in log_mel.aminmax())
        self._closed.append(_ClosedBlock(log_mel, least, loudest, peak, memory, tokens))

    def _encode(
        self, log_mel: torch.Tensor, start: int, past: list[BlockMemory], peak: float
    ) -> tuple[list[int], BlockMemory]:
        """Codes and memory of one block, or of as much of it as there is."""
        frames = torch.arange(start, start + log_mel.shape[1], device=log_mel.device)
        valid = frames[::FRAMES_PER_POSITION] * HOP_SAMPLES < self._heard
        mel = normalised(log_mel, torch.tensor(peak, device=log_mel.device))[None]
        pooled, memory = self._encoder.block(mel, valid[None], past)
        kept = valid[::POSITIONS_PER_TOKEN]
        codes: list[int] = self._encoder.nearest_codes(pooled[0])[kept].tolist()
        return codes, memory
