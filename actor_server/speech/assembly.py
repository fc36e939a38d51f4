"""Speech of a reply of any length, block by block, with a bounded memory.

A block is made together with the tokens and mel frames before it (its prompt). Its last frames
would change if more tokens followed, so they are held back, made again with the next block and
faded into it; the vocoder keeps one frame and its excitation, so that the wave has no seam.

Frames are counted from the reply's start by T(n), never by differences within a block: sound and
tokens never drift apart by a whole mel frame.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from actor_server.speech.chance import Chance
from actor_server.speech.geometry import MEL_BINS
from actor_server.speech.harmonic_source import Draws
from actor_server.speech.mel_clock import HOP_SAMPLES, mel_frames
from actor_server.speech.token_encoder import BLOCK_TOKENS

PROMPT_TOKENS: Final = 50
"""A block sees this many tokens before itself, or up to nine more: whole blocks of the encoder."""
TAIL_TOKENS: Final = 5
TAIL_FRAMES: Final = mel_frames(TAIL_TOKENS)
"""Frames held back until more is known, 34."""
MIN_FIRST_BLOCK_TOKENS: Final = TAIL_TOKENS + 1
"""Fewer leave nothing behind the tail."""

Flow = Callable[[Tensor, Tensor, Tensor], Tensor]
"""tokens (1, N), known (1, M, K), noise (1, M, F) to the frames that follow, (1, M, F - K)."""
Voice = Callable[[Tensor, Draws, Tensor | None], tuple[Tensor, Tensor]]
"""mel (1, M, F), draws, earlier excitation to samples (1, L) and their excitation (1, 1, L)."""


class SpeechAssembly:
    """One reply: codes in, samples at 22 050 Hz out, 256 T(n) of them when it is finished."""

    def __init__(self, flow: Flow, voice: Voice, chance: Chance) -> None:
        self._flow = flow
        self._voice = voice
        self._chance = chance
        self._device = chance.mel(0, 1).device
        self._first_token = 0
        """Number of the reply's token that the prompt begins with."""
        self._tokens: list[int] = []
        self._mel = torch.zeros(1, MEL_BINS, 0, device=self._device)
        """Clean frames from the prompt's first on: the last one is the tail's predecessor."""
        self._tail: Tensor | None = None
        self._excitation: Tensor | None = None
        """Of the last frame of `_mel`, whose samples were not given out yet."""

    @property
    def tokens(self) -> int:
        """Audio tokens taken so far."""
        return self._first_token + len(self._tokens)

    def extend(self, codes: list[int]) -> Tensor:
        """Samples (L,) that are final after these tokens. Raises ValueError for too few of them."""
        if not codes or self.tokens + len(codes) < MIN_FIRST_BLOCK_TOKENS:
            raise ValueError(
                f"a reply begins with {MIN_FIRST_BLOCK_TOKENS} audio tokens or ends, and goes on "
                f"with one or more: {len(codes)} came after {self.tokens}"
            )
        fresh = self._faded(codes)
        self._tail = fresh[:, :, -TAIL_FRAMES:]
        return self._speak(fresh[:, :, :-TAIL_FRAMES], last=False)

    def finish(self, codes: list[int]) -> Tensor:
        """All samples that are left, (L,), with these last tokens, or without any."""
        if codes:
            return self._speak(self._faded(codes), last=True)
        if self._tail is not None:
            return self._speak(self._tail, last=True)
        return torch.zeros(0, device=self._device)

    def _faded(self, codes: list[int]) -> Tensor:
        """The frames after the clean ones, up to the last token's, the old tail faded in."""
        self._shorten_prompt()
        self._tokens += codes
        begin = mel_frames(self._first_token)
        noise = self._chance.mel(begin, mel_frames(self.tokens) - begin)
        tokens = torch.tensor([self._tokens], device=self._device)
        fresh = self._flow(tokens, self._mel, noise)
        if self._tail is None:
            return fresh
        rise, fall = _fade().to(fresh).chunk(2)
        blended = fresh[:, :, :TAIL_FRAMES] * rise + self._tail * fall
        return torch.cat([blended, fresh[:, :, TAIL_FRAMES:]], dim=2)

    def _speak(self, fresh: Tensor, *, last: bool) -> Tensor:
        """Samples of new clean frames; not `last`: of all but the last one."""
        kept = self._mel[:, :, -1:] if self._excitation is not None else self._mel[:, :, :0]
        mel = torch.cat([kept, fresh], dim=2)
        self._mel = torch.cat([self._mel, fresh], dim=2)
        first_frame = mel_frames(self._first_token) + self._mel.shape[2] - mel.shape[2]
        draws = self._chance.draws(first_frame, mel.shape[2])
        samples, excitation = self._voice(mel, draws, self._excitation)
        if last:
            return samples[0]
        self._excitation = excitation[:, :, -HOP_SAMPLES:]
        return samples[0, :-HOP_SAMPLES]

    def _shorten_prompt(self) -> None:
        """Forget whole blocks of the encoder; the frames go with their tokens."""
        spare = max(0, len(self._tokens) - PROMPT_TOKENS)
        forgotten = spare // BLOCK_TOKENS * BLOCK_TOKENS
        begin = self._first_token + forgotten
        self._mel = self._mel[:, :, mel_frames(begin) - mel_frames(self._first_token) :]
        self._tokens = self._tokens[forgotten:]
        self._first_token = begin


def _fade() -> Tensor:
    """Weights of the new frames, then of the old tail. They do not add up to 1: as released."""
    return torch.hamming_window(2 * TAIL_FRAMES, periodic=False, dtype=torch.float64)
