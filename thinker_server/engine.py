"""The models of one Thinker process and the sessions that share them."""

import asyncio
import gc
import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import Self

import numpy as np

from proto.messages import OpenThinkerSession
from proto.time_law import HEARING_HZ
from thinker_server.answer import SessionParts
from thinker_server.brain.brain import Brain
from thinker_server.brain.openai_brain import OpenAIBrain
from thinker_server.brain.prompt import opening
from thinker_server.config import ThinkerConfig
from thinker_server.dialogue import Dialogue, Exchange
from thinker_server.errors import LanguageUnsupported
from thinker_server.hearing.recogniser import Recogniser
from thinker_server.memory import give_back
from thinker_server.metrics import ThinkerMetrics
from thinker_server.outlet import Send
from thinker_server.reply import ReplyLimits
from thinker_server.seeing.choice import choose_eyes
from thinker_server.seeing.eyes import Eyes
from thinker_server.seeing.glance import Sight
from thinker_server.session import ThinkerSession
from thinker_server.speaking.catalogue import VoiceCatalogue
from thinker_server.workers import Workers

log = logging.getLogger(__name__)

WARM_UP_TEXT = "Hello there."
DEFAULT_VOICE = "default"
"""A session that asks for this voice gets the one configured for its language."""


async def _warm_up(brain: Brain, recognisers: Sequence[Recogniser]) -> None:
    """Run everything once: the first time is several times slower than the second."""
    for recogniser in recognisers:
        stream = recogniser.open()
        stream.hear(np.random.default_rng(0).integers(-3000, 3000, HEARING_HZ).astype(np.int16))
        stream.transcribe()
        stream.close()
    if isinstance(brain, OpenAIBrain):
        return  # another's server is not ours to warm
    conversation = brain.open()
    async with aclosing(conversation.reply(opening("Ann", ""))) as tokens:
        await anext(tokens, None)
    await conversation.close()


def _settle() -> None:
    """Loading frees up to 0.2 GB that the C library would keep."""
    gc.collect()
    gc.freeze()  # what is loaded stays: no later collection looks at it
    give_back()


class ThinkerEngine:
    """Everything that is loaded once. `load` is slow and blocks; `open` loads a voice at most."""

    def __init__(
        self,
        config: ThinkerConfig,
        brain: Brain,
        recognisers: dict[str, Recogniser],
        voices: VoiceCatalogue,
        eyes: Eyes | None = None,
    ) -> None:
        self.config = config
        self.brain = brain
        self.voices = voices
        self.eyes = eyes
        self.metrics = ThinkerMetrics()
        self._recognisers = recognisers
        self._warm_voices = set(config.voices.values())
        self._workers = Workers()
        self._limits = ReplyLimits(
            config.max_reply_tokens, config.max_reply_sentences, config.first_clause_words
        )

    @classmethod
    def load(cls, config: ThinkerConfig) -> Self:
        """Load brain, recognisers and the default voices. Raises ThinkerError."""
        import torch

        from thinker_server.brain.choice import choose_brain
        from thinker_server.brain.hub import stay_offline
        from thinker_server.hearing.loading import load_recogniser

        torch.set_num_threads(config.torch_threads)
        voices = VoiceCatalogue(config.assets_dir, config.cache_dir, config.voice_threads)
        for name in config.voices.values():
            voices.load(name).synthesise(WARM_UP_TEXT)
        recognisers = {
            language: load_recogniser(name) for language, name in config.recognisers.items()
        }
        brain = choose_brain(config)
        eyes = choose_eyes(config)
        asyncio.run(_warm_up(brain, list(recognisers.values())))
        stay_offline()
        _settle()
        return cls(config, brain, recognisers, voices, eyes)

    async def open(self, opened: OpenThinkerSession, send: Send) -> ThinkerSession[Exchange]:
        """A session, ready to run. Raises UnknownVoice and LanguageUnsupported."""
        language = opened.language.split("-")[0]
        recogniser = self._recogniser(language)
        name = self._voice_name(opened.voice, language)
        voice = await self._workers.load(lambda: self.voices.load(name))
        if name not in self._warm_voices:  # beside the session, which need not wait for it
            self._warm_voices.add(name)
            self._workers.voicing.submit(voice.synthesise, WARM_UP_TEXT)
        room = self.config.context_tokens - self.config.max_reply_tokens
        dialogue = Dialogue(
            opening(opened.name, opened.persona, marks=self.config.mood_marks),
            opened.history,
            self.brain.count_tokens,
            room,
        )
        parts = SessionParts(
            conversation=self.brain.open(),
            dialogue=dialogue,
            recogniser=recogniser,
            voice=voice,
            workers=self._workers,
            limits=self._limits,
            metrics=self.metrics,
            sight=Sight(self.eyes, self.config.eyes_wait_s) if self.eyes is not None else None,
            mood_by_words=self.config.mood_by_words,
        )
        return ThinkerSession(opened, parts, send)

    def labels(self) -> dict[str, str]:
        """What runs, for people."""
        return {
            "brain": self.brain.label.name,
            "brain_why": self.brain.label.why,
            "brain_how_to_change": self.brain.label.how_to_change,
            "eyes": self.eyes.label if self.eyes is not None else "",
            "voices": ", ".join(self.voices.names()),
            "languages": ", ".join(sorted(self._recognisers.keys() & self.config.voices.keys())),
        }

    async def close(self) -> None:
        """Free the models; all sessions must be over."""
        self._workers.close()
        await self.brain.close()
        if self.eyes is not None:
            await self.eyes.close()

    def _recogniser(self, language: str) -> Recogniser:
        if language not in self._recognisers or language not in self.config.voices:
            ready = ", ".join(sorted(self._recognisers.keys() & self.config.voices.keys()))
            raise LanguageUnsupported(
                f"no recogniser or no voice is configured for the language {language!r}; there "
                f"are both for: {ready}. Add it to recognisers and voices in [thinker] of "
                "xstreamer.toml"
            )
        return self._recognisers[language]

    def _voice_name(self, asked: str, language: str) -> str:
        name = self.config.voices[language] if asked == DEFAULT_VOICE else asked
        self.voices.check(name)
        return name
