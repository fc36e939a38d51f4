"""Kokoro-82M (hexgrad, Apache-2.0): 28 English voices on one shared model, with phoneme times."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from thinker_server.errors import AssetMissing
from thinker_server.speaking.clip import clip_utterance
from thinker_server.speaking.exposed_graph import expose, session
from thinker_server.speaking.pronunciation import Pronouncer
from thinker_server.speaking.voice import Utterance

log = logging.getLogger(__name__)

PREFIX = "kokoro:"
MODEL = "kokoro-v1.0.int8.onnx"
VOICES = "kokoro-voices"
LANGUAGES = ("af_", "am_", "bf_", "bm_")
"""American and British women and men; the other languages have no pronunciation here."""
_DURATIONS = "/encoder/Clip_output_0"
FIRST_CLAUSE_WORDS = 5
"""About a second of speech, which takes half a second to make on two free cores."""
STYLE_WIDTH = 256
MAX_PHONEMES = 509
"""A voice file holds one style vector for each length of the phoneme string."""


def kokoro_names(assets: Path) -> list[str]:
    """Session names of the voices whose files are there, none without the model."""
    if not (assets / MODEL).exists():
        return []
    files = sorted((assets / VOICES).glob("*.bin"))
    return [PREFIX + file.stem for file in files if file.stem.startswith(LANGUAGES)]


class KokoroModel:
    """The graph that all Kokoro voices share."""

    def __init__(self, assets: Path, cache: Path, threads: int) -> None:
        import hibari

        vocabulary = Path(hibari.__file__).parent / "assets" / "vocab.json"
        self.vocabulary: dict[str, int] = json.loads(vocabulary.read_text("utf-8"))
        self._session = _open(assets / MODEL, cache, threads)

    def run(self, ids: list[int], style: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """Speech (N,) float and frames of each id, for ids with their pads and a style (256,)."""
        speech, durations = self._session.run(
            ["audio", _DURATIONS],
            {
                "tokens": np.array([ids], np.int64),
                "style": style[None],
                "speed": np.ones(1, np.float32),
            },
        )
        return speech.reshape(-1), durations.reshape(-1).astype(int).tolist()


class KokoroVoice:
    """One speaker of the shared model."""

    def __init__(self, name: str, model: KokoroModel, assets: Path, pronouncer: Pronouncer) -> None:
        self._name = name
        self._model = model
        self._pronouncer = pronouncer
        file = assets / VOICES / f"{name.removeprefix(PREFIX)}.bin"
        self._styles = np.fromfile(file, np.float32).reshape(-1, STYLE_WIDTH)

    @property
    def name(self) -> str:
        """The name that sessions ask for."""
        return self._name

    @property
    def first_clause_words(self) -> int:
        """See Voice."""
        return FIRST_CLAUSE_WORDS

    def synthesise(self, text: str) -> Utterance:
        """Speech of one clause; its work is a third of its length on two threads."""
        pronunciation = self._pronouncer.pronounce(text).known_to(self._model.vocabulary)
        phonemes = pronunciation.phonemes
        if not phonemes:
            return Utterance(np.zeros(0, np.int16), (), ())
        if len(phonemes) > MAX_PHONEMES:
            raise ValueError(
                f"a clause of {len(phonemes)} phonemes; the voice takes {MAX_PHONEMES}"
            )
        ids = [0, *(self._model.vocabulary[c] for c in phonemes), 0]
        speech, frames = self._model.run(ids, self._styles[len(phonemes)])
        return clip_utterance(speech, pronunciation, frames)


def _open(model: Path, cache: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the graph with durations exposed, which is kept in the cache directory."""
    exposed = cache / "converted" / f"{model.stem}.durations.onnx"
    if not exposed.exists():
        if not model.exists():
            raise AssetMissing(f"{model} is missing: run `xstreamer assets fetch`")
        exposed.parent.mkdir(parents=True, exist_ok=True)
        scratch = exposed.with_suffix(f".{os.getpid()}.part")
        onnx.save(expose(model, _DURATIONS), str(scratch))
        os.replace(scratch, exposed)
        log.info("exposed the voice's durations", extra={"model": model.name})
    return session(str(exposed), threads)
