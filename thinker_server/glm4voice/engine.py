"""GLM-4-Voice loaded once: one language model, one speech tokenizer, a slot for each session."""

import logging
from typing import Self

import numpy as np
import torch

from proto.messages import OpenThinkerSession
from proto.time_law import HEARING_HZ
from thinker_server.brain.hub import stay_offline
from thinker_server.config import ThinkerConfig
from thinker_server.errors import LanguageUnsupported
from thinker_server.glm4voice.decoder import GlmDecoder
from thinker_server.glm4voice.dialogue import GlmDialogue, GlmExchange
from thinker_server.glm4voice.generation import Generation
from thinker_server.glm4voice.hearing import SpeechEars
from thinker_server.glm4voice.language_model import device_of, load_language_model
from thinker_server.glm4voice.mind import GlmMind
from thinker_server.glm4voice.sampler import Sampling
from thinker_server.glm4voice.speech.encoder import SpeechEncoder
from thinker_server.glm4voice.speech.weights import load_speech_encoder
from thinker_server.glm4voice.token_thread import TokenThread
from thinker_server.glm4voice.tokenizer import GlmTokenizer
from thinker_server.hearing.loading import load_recogniser
from thinker_server.hearing.recogniser import Recogniser
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Send
from thinker_server.seeing.choice import choose_eyes
from thinker_server.seeing.eyes import Eyes
from thinker_server.seeing.glance import Sight
from thinker_server.session import ThinkerSession
from thinker_server.workers import Workers

log = logging.getLogger(__name__)

LANGUAGES = ("en", "zh")
"""What the model was trained to hear and to speak."""
_WARM_UP_TOKENS = 4


class GlmEngine:
    """Everything that is loaded once. `load` is slow and blocks; `open` only takes a slot."""

    def __init__(
        self,
        config: ThinkerConfig,
        tokenizer: GlmTokenizer,
        generation: Generation,
        encoder: SpeechEncoder,
        captions: dict[str, Recogniser],
        eyes: Eyes | None = None,
    ) -> None:
        self.config = config
        self.metrics = ThinkerMetrics()
        self._tokenizer = tokenizer
        self._tokens = TokenThread(generation)
        self._ears = {name: SpeechEars(encoder, captions.get(name)) for name in LANGUAGES}
        self._captions = captions
        self._eyes = eyes
        self._where = str(encoder.codebook.weight.device)
        self._workers = Workers()

    @classmethod
    def load(cls, config: ThinkerConfig) -> Self:
        """Load everything and run it once. Raises ThinkerError."""
        torch.set_num_threads(config.torch_threads)
        device = device_of(config.glm4voice_device)
        directory = config.glm4voice_model.expanduser()
        tokenizer = GlmTokenizer.load(directory)
        model = load_language_model(directory, tokenizer, device, _number_type(config, device))
        sampling = Sampling(config.glm4voice_temperature, config.glm4voice_top_p, tokenizer.size)
        decoder = GlmDecoder(model, sampling, config.max_sessions, config.glm4voice_context_tokens)
        generation = Generation(decoder, tokenizer.stop_ids)
        encoder = load_speech_encoder(config.glm4voice_speech_tokenizer.expanduser(), device)
        captions = {
            language: load_recogniser(name)
            for language, name in config.recognisers.items()
            if language in LANGUAGES
        }
        eyes = choose_eyes(config)
        decoder.capture()
        _warm_up(generation, tokenizer, SpeechEars(encoder, None))
        stay_offline()
        return cls(config, tokenizer, generation, encoder, captions, eyes)

    async def open(self, opened: OpenThinkerSession, send: Send) -> ThinkerSession[GlmExchange]:
        """A session, ready to run. Raises LanguageUnsupported and TooManySessions."""
        language = opened.language.split("-")[0]
        if language not in LANGUAGES:
            raise LanguageUnsupported(
                f"GLM-4-Voice does not speak {language!r}; it speaks: {', '.join(LANGUAGES)}"
            )
        persona = f"You are {opened.name}. {opened.persona}".strip()
        room = self.config.glm4voice_context_tokens - self.config.glm4voice_max_reply_tokens
        mind = GlmMind(
            tokens=self._tokens,
            slot=await self._tokens.open(),
            tokenizer=self._tokenizer,
            dialogue=GlmDialogue(self._tokenizer, persona, opened.history, room),
            recogniser=self._ears[language],
            sight=Sight(self._eyes, self.config.eyes_wait_s) if self._eyes is not None else None,
            workers=self._workers,
            metrics=self.metrics,
            max_reply_tokens=self.config.glm4voice_max_reply_tokens,
            with_states=self.config.glm4voice_states,
        )
        return ThinkerSession(opened, mind, send)

    def labels(self) -> dict[str, str]:
        """What runs, for people."""
        return {
            "brain": "GLM-4-Voice",
            "brain_why": f"configured: backend = glm4voice, on {self._where}",
            "brain_how_to_change": "set backend in [thinker] of xstreamer.toml to nano",
            "eyes": self._eyes.label if self._eyes is not None else "",
            "voice": "GLM-4-Voice's own",
            "languages": ", ".join(LANGUAGES),
            "captions": ", ".join(sorted(self._captions)) or "none",
        }

    async def close(self) -> None:
        """End the threads; all sessions must be over."""
        self._workers.close()
        self._tokens.close()
        if self._eyes is not None:
            await self._eyes.close()


def _number_type(config: ThinkerConfig, device: torch.device) -> torch.dtype:
    if config.glm4voice_number_type == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if config.glm4voice_number_type == "bfloat16" else torch.float32


def _warm_up(generation: Generation, tokenizer: GlmTokenizer, ears: SpeechEars) -> None:
    """Run everything once: the first time is several times slower than the second."""
    hearing = ears.open()
    hearing.hear(np.random.default_rng(0).integers(-3000, 3000, HEARING_HZ).astype(np.int16))
    hearing.transcribe()
    slot = generation.open()
    generation.begin(slot, tokenizer.text_ids("Hello there."), _WARM_UP_TOKENS, seed=0)
    while generation.busy:
        generation.step()
    generation.close(slot)
