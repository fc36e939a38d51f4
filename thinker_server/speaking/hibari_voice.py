"""hibari: a small, quick English voice (hibari-tts, Apache-2.0), with exact phoneme times."""

import json
from pathlib import Path

import numpy as np

from thinker_server.speaking.clip import clip_utterance
from thinker_server.speaking.exposed_graph import expose, session
from thinker_server.speaking.pronunciation import Pronouncer
from thinker_server.speaking.voice import Utterance

NAME = "hibari"
_DURATIONS = "/Clip_output_0"
_SPECTRA = ["lh", "theta", "ln", "lr", "phi", "f0"]
NOISE_SEED = 0
"""The breath noise is seeded: the same words always sound the same."""
FIRST_CLAUSE_WORDS = 12
GAIN = 1.9
"""hibari speaks more softly than Kokoro; this brings its root-mean-square to the same level."""


class HibariVoice:
    """The voice inside the hibari-tts package. Raises nothing that depends on the network."""

    def __init__(self, pronouncer: Pronouncer, threads: int) -> None:
        import hibari

        assets = Path(hibari.__file__).parent / "assets"
        graph = expose(assets / "hibari.onnx", _DURATIONS)
        self._session = session(graph.SerializeToString(), threads)
        self._vocabulary: dict[str, int] = json.loads((assets / "vocab.json").read_text("utf-8"))
        self._pronouncer = pronouncer

    @property
    def name(self) -> str:
        """The name that sessions ask for."""
        return NAME

    @property
    def first_clause_words(self) -> int:
        """See Voice."""
        return FIRST_CLAUSE_WORDS

    def synthesise(self, text: str) -> Utterance:
        """Speech of one clause, about 25 ms of work a second of speech."""
        from hibari import dsp

        pronunciation = self._pronouncer.pronounce(text).known_to(self._vocabulary)
        if not pronunciation.phonemes:
            return Utterance(np.zeros(0, np.int16), (), ())
        ids = [0, *(self._vocabulary[c] for c in pronunciation.phonemes), 0]
        *spectra, durations = self._session.run(
            [*_SPECTRA, _DURATIONS],
            {"ids": np.array([ids], np.int64), "speed": np.ones(1, np.float32)},
        )
        noise = np.random.default_rng(NOISE_SEED)
        speech = dsp.synth(*(array[0] for array in spectra), noise) * GAIN
        return clip_utterance(speech, pronunciation, durations.reshape(-1).astype(int).tolist())
