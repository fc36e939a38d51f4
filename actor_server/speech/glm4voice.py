"""GLM-4-Voice's decoder behind the seam: blocks by a fixed schedule, 24 kHz out."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from actor_server.compute import device_named
from actor_server.speech.assembly import MIN_FIRST_BLOCK_TOKENS, SpeechAssembly
from actor_server.speech.chance import FixedChance
from actor_server.speech.checkpoint import load_speech_models
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.mel_clock import TOKEN_SAMPLES
from actor_server.speech.resampler import SpeechResampler
from actor_server.speech.stream import Codes, Samples
from actor_server.speech.vocoder import Vocoder

FIRST_BLOCKS: Final = (MIN_FIRST_BLOCK_TOKENS, 4, 8, 8)
"""First samples at 6 tokens, the first chunk (0.32 s) at 10, the first segment whole at 26."""
BLOCK_TOKENS: Final = 13
"""Then half a segment at a time: a block costs the same whatever it adds to its prompt, and one of
this size is there before the sound before it ends if tokens come at 1.5 times their own pace."""


class Glm4VoiceSpeech:
    """The decoder's weights on one device, for all replies of the process."""

    label = "glm-4-voice"

    def __init__(self, flow: FlowDecoder, vocoder: Vocoder, device: torch.device) -> None:
        self._flow = flow.to(device)
        self._vocoder = vocoder.to(device)
        self._chance = FixedChance(device=device)
        self.codes = flow.codes
        self.device = str(device)

    @classmethod
    def from_files(cls, folder: Path, device: str) -> "Glm4VoiceSpeech":
        """`device`: see `device_named`. Raises SpeechWeightsUnusable."""
        flow, vocoder = load_speech_models(folder)
        return cls(flow, vocoder, device_named(device))

    def open(self) -> "Glm4VoiceStream":
        """Begin a reply."""
        return Glm4VoiceStream(SpeechAssembly(self._flow, self._vocoder, self._chance))

    def warm_up(self) -> None:
        """Do once what the first call would wait for: kernels are loaded, tables made."""
        stream = self.open()
        stream.extend(np.zeros(stream.next_block, np.int32))
        stream.finish(np.zeros(stream.next_block, np.int32))


class Glm4VoiceStream:
    """One reply."""

    def __init__(self, assembly: SpeechAssembly) -> None:
        self._assembly = assembly
        self._resampler = SpeechResampler()
        self._blocks = 0
        self._samples = 0
        """At the decoder's own rate, so far."""

    @property
    def next_block(self) -> int:
        """Audio tokens that the next block takes."""
        return FIRST_BLOCKS[self._blocks] if self._blocks < len(FIRST_BLOCKS) else BLOCK_TOKENS

    @torch.inference_mode()
    def extend(self, codes: Codes) -> Samples:
        """Decode one block; the samples that are final after it."""
        self._blocks += 1
        return self._resampled(self._assembly.extend(codes.tolist()))

    @torch.inference_mode()
    def finish(self, codes: Codes) -> Samples:
        """Decode the last tokens, fewer than a block, perhaps none; all samples that are left."""
        speech = self._resampled(self._assembly.finish(codes.tolist()))
        silence = self._assembly.tokens * TOKEN_SAMPLES - self._samples
        return np.concatenate([speech, self._resampler.finish(silence)])

    def _resampled(self, samples: Tensor) -> Samples:
        self._samples += len(samples)
        return self._resampler.push(samples.float().cpu().numpy())
